#!/bin/sh
# Prints the lines of turnserver.conf that keep a relay from reaching inside: sh conf.sh ADDRESS > turnserver.conf
#
# ADDRESS is the one that it relays from (`relay-ip`; behind a NAT the private one, beside `external-ip`). That one stays
# allowed: two people who both need the relay meet there. All other addresses of this host, and all networks of IANA's
# special-purpose registries (RFC 6890; what a cloud answers at 169.254.169.254, a provider's 100.64.0.0/10, IPv4 written
# as IPv6), are refused. So is TCP from the relay (RFC 6062), which no browser asks for and every inner service speaks.
#
# A range of IPv6 must not begin with `::`: for coturn that is any address, of IPv4 too. It refuses `::` itself anyway.
set -eu
relay=${1:?the address that it relays from}

cat <<END
no-tcp-relay
no-multicast-peers
no-cli
relay-ip=$relay
allowed-peer-ip=$relay
END
for address in $(hostname -I); do
  [ "$address" = "$relay" ] || echo "denied-peer-ip=$address"
done
cat <<'END'
denied-peer-ip=0.0.0.0-0.255.255.255
denied-peer-ip=10.0.0.0-10.255.255.255
denied-peer-ip=100.64.0.0-100.127.255.255
denied-peer-ip=127.0.0.0-127.255.255.255
denied-peer-ip=169.254.0.0-169.254.255.255
denied-peer-ip=172.16.0.0-172.31.255.255
denied-peer-ip=192.0.0.0-192.0.0.255
denied-peer-ip=192.0.2.0-192.0.2.255
denied-peer-ip=192.31.196.0-192.31.196.255
denied-peer-ip=192.52.193.0-192.52.193.255
denied-peer-ip=192.88.99.0-192.88.99.255
denied-peer-ip=192.168.0.0-192.168.255.255
denied-peer-ip=192.175.48.0-192.175.48.255
denied-peer-ip=198.18.0.0-198.19.255.255
denied-peer-ip=198.51.100.0-198.51.100.255
denied-peer-ip=203.0.113.0-203.0.113.255
denied-peer-ip=224.0.0.0-255.255.255.255
denied-peer-ip=::1-::ffff:ffff
denied-peer-ip=::ffff:0:0-::ffff:ffff:ffff
denied-peer-ip=64:ff9b::-64:ff9b::ffff:ffff
denied-peer-ip=64:ff9b:1::-64:ff9b:1:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=100::-100::1:ffff:ffff:ffff:ffff
denied-peer-ip=2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=2620:4f:8000::-2620:4f:8000:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=3fff::-3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=5f00::-5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=fe80::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
END
