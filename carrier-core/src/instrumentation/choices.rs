//! The builder's choices, for the builders of adapters.

/// The choices of [`Builder`] on a builder of an adapter's, which holds one in its field `common`.
#[doc(hidden)]
#[macro_export]
macro_rules! __instrumentation_choices {
    () => {
        /// Where spans come from, instead of the global provider that is registered when this is built: a tracer that is
        /// taken before the provider is set never records.
        pub fn tracer_provider<P>(self, provider: P) -> Self
        where
            P: $crate::opentelemetry::trace::TracerProvider + Send + 'static,
            P::Tracer: Send + Sync + 'static,
            <P::Tracer as $crate::opentelemetry::trace::Tracer>::Span: Send + Sync + 'static,
        {
            Self { common: self.common.tracer_provider(provider), ..self }
        }

        /// Where metrics go, instead of the global provider that is registered when this is built.
        pub fn meter_provider(
            self,
            provider: impl $crate::opentelemetry::metrics::MeterProvider + Send + 'static,
        ) -> Self {
            Self { common: self.common.meter_provider(provider), ..self }
        }

        /// How contexts are written and read; the default follows the application.
        pub fn propagation(self, propagation: $crate::Propagation) -> Self {
            Self { common: self.common.propagation(propagation), ..self }
        }

        /// What the sender's span is to the span that processes its message; the default is
        /// [`Relation::Parent`]($crate::instrumentation::Relation::Parent).
        pub fn relation(self, relation: $crate::instrumentation::Relation) -> Self {
            Self { common: self.common.relation(relation), ..self }
        }

        /// What the span that is current where a message is processed is to the process span; the default is
        /// [`Ambient::Link`]($crate::instrumentation::Ambient::Link).
        pub fn ambient(self, ambient: $crate::instrumentation::Ambient) -> Self {
            Self { common: self.common.ambient(ambient), ..self }
        }

        /// How many links the span of a batch has at most; the default is 128, which is also the SDK's.
        pub fn max_links(self, max_links: usize) -> Self {
            Self { common: self.common.max_links(max_links), ..self }
        }

        /// Whether a settlement has a span of its own, and its duration a metric; the default is no. Experimental.
        pub fn settle_spans(self, settle_spans: bool) -> Self {
            Self { common: self.common.settle_spans(settle_spans), ..self }
        }

        /// Whether metrics are recorded, whatever the sampling decides; the default is yes.
        pub fn metrics(self, metrics: bool) -> Self {
            Self { common: self.common.metrics(metrics), ..self }
        }

        /// Whether no span is started where the parent is valid and not sampled; the default is no.
        ///
        /// For those whose sampler is parent-based, which would drop the span anyway: the sampler is not asked, and the
        /// parent's context goes on.
        pub fn skip_unsampled(self, skip_unsampled: bool) -> Self {
            Self { common: self.common.skip_unsampled(skip_unsampled), ..self }
        }
    };
}
