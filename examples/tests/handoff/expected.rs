//! What each span and metric has: names that each run makes up end in `*`, a time is `*`, ports are `{kafka}` and `{rabbitmq}`.

pub const SPANS: &str = "\
shop: internal buy
  scope handoff
  tenant = acme
shop: client POST /orders
  scope handoff
  parent buy of shop
  tenant = acme
gateway: server POST /orders
  scope handoff
  parent POST /orders of shop, remote
  tenant = acme
gateway: producer send orders
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  parent POST /orders of gateway
  messaging.destination.name = carrier-handoff-orders-*
  messaging.destination.partition.id = 0
  messaging.destination.template = orders
  messaging.kafka.offset = 0
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.system = kafka
  server.address = 127.0.0.1
  server.port = {kafka}
  tenant = acme
packing: consumer process orders
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  parent send orders of gateway, remote
  carrier.queue.duration = *
  messaging.consumer.group.name = packing
  messaging.destination.name = carrier-handoff-orders-*
  messaging.destination.partition.id = 0
  messaging.destination.template = orders
  messaging.kafka.offset = 0
  messaging.operation.name = process
  messaging.operation.type = process
  messaging.system = kafka
  server.address = 127.0.0.1
  server.port = {kafka}
  tenant = acme
packing: producer send parcels
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  parent process orders of packing
  messaging.destination.name = carrier-handoff-parcels-*
  messaging.destination.template = parcels
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = carrier-handoff-parcels-*
  messaging.system = rabbitmq
  server.address = {rabbitmq host}
  server.port = {rabbitmq}
  tenant = acme
shipping: consumer process parcels
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  parent send parcels of packing, remote
  carrier.settlement = acked
  messaging.destination.name = carrier-handoff-parcels-*
  messaging.destination.template = parcels
  messaging.operation.name = process
  messaging.operation.type = process
  messaging.rabbitmq.destination.routing_key = carrier-handoff-parcels-*
  messaging.rabbitmq.message.delivery_tag = 1
  messaging.system = rabbitmq
  server.address = {rabbitmq host}
  server.port = {rabbitmq}
  tenant = acme
";

/// RabbitMQ's have no time in the queue: nobody stamped the message.
pub const METRICS: &str = "\
gateway: messaging.client.operation.duration in s
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  bounds 0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10
  1 of
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.operation.name = send
    messaging.operation.type = send
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
gateway: messaging.client.sent.messages in {message}
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  counted 1 of
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.operation.name = send
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
packing: carrier.critical.duration in s
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  bounds 0.005 0.025 0.1 0.25 0.5 1 5 15 60 300 900 3600 14400 86400
  1 of
    messaging.consumer.group.name = packing
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
packing: carrier.queue.duration in s
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  bounds 0.005 0.025 0.1 0.25 0.5 1 5 15 60 300 900 3600 14400 86400
  1 of
    messaging.consumer.group.name = packing
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
packing: carrier.received.contexts in {message}
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  counted 1 of
    carrier.context.status = valid
    messaging.consumer.group.name = packing
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
packing: messaging.client.consumed.messages in {message}
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  counted 1 of
    messaging.consumer.group.name = packing
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.operation.name = process
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
packing: messaging.client.operation.duration in s
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  bounds 0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10
  1 of
    messaging.destination.template = parcels
    messaging.operation.name = send
    messaging.operation.type = send
    messaging.system = rabbitmq
    server.address = {rabbitmq host}
    server.port = {rabbitmq}
packing: messaging.client.sent.messages in {message}
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  counted 1 of
    messaging.destination.template = parcels
    messaging.operation.name = send
    messaging.system = rabbitmq
    server.address = {rabbitmq host}
    server.port = {rabbitmq}
packing: messaging.process.duration in s
  scope carrier-kafka {kafka version} https://opentelemetry.io/schemas/1.44.0
  bounds 0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10
  1 of
    messaging.consumer.group.name = packing
    messaging.destination.partition.id = 0
    messaging.destination.template = orders
    messaging.operation.name = process
    messaging.system = kafka
    server.address = 127.0.0.1
    server.port = {kafka}
shipping: carrier.delivery.attempts in {attempt}
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  bounds 1 2 3 4 5 10 20 50
  1 of
    messaging.destination.template = parcels
    messaging.system = rabbitmq
    server.address = {rabbitmq host}
    server.port = {rabbitmq}
shipping: carrier.received.contexts in {message}
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  counted 1 of
    carrier.context.status = valid
    messaging.destination.template = parcels
    messaging.system = rabbitmq
    server.address = {rabbitmq host}
    server.port = {rabbitmq}
shipping: messaging.client.consumed.messages in {message}
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  counted 1 of
    messaging.destination.template = parcels
    messaging.operation.name = process
    messaging.system = rabbitmq
    server.address = {rabbitmq host}
    server.port = {rabbitmq}
shipping: messaging.process.duration in s
  scope carrier-amqp {amqp version} https://opentelemetry.io/schemas/1.44.0
  bounds 0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10
  1 of
    messaging.destination.template = parcels
    messaging.operation.name = process
    messaging.system = rabbitmq
    server.address = {rabbitmq host}
    server.port = {rabbitmq}
";
