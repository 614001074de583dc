# Removes all containers and networks with the label $1 when standard input ends, which is when the process that holds the
# other end of the pipe is gone, however it ended. The engine may still be creating a container that the process asked for,
# so this looks again.
trap '' HUP INT TERM
cat >/dev/null
for pause in 0 1 3; do
    sleep "$pause"
    containers=$(docker ps -aq --filter "label=$1")
    [ -z "$containers" ] || docker rm -fv $containers
    networks=$(docker network ls -q --filter "label=$1")
    [ -z "$networks" ] || docker network rm $networks
done
