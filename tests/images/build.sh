#!/bin/sh
# Builds a broker's image from Debian's and Maven's packages: build.sh <folder> <tag>
set -eux
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$(dirname "$0")/$1"/* "$work"
mmdebstrap --variant=apt --include="$(tr ' ' , <"$work/packages")" trixie "$work/rootfs.tar"
if [ -e "$work/pom.xml" ]; then
    mvn -B -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=libs
fi
docker build --tag "$2" "$work"
