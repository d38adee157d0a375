"""What operators write into nginx, HAProxy and Caddy to tell a server its name and its clients' addresses.

Each is a path before which its lines stand: `/host/socket.io/` reaches the server as `/socket.io/`.
"""

from __future__ import annotations

NGINX_HOSTS = {
    "host": "proxy_set_header Host $host;",
    "http-host": "proxy_set_header Host $http_host;",
    "host-with-443": "proxy_set_header Host $host:443;",
    "name": "proxy_set_header Host $server_name;",
    "x-host": "proxy_set_header X-Forwarded-Host $host;",
    "x-host-with-443": "proxy_set_header X-Forwarded-Host $host:443; proxy_set_header X-Forwarded-Port 443;",
    "x-host-twice": 'proxy_set_header X-Forwarded-Host "$host, edge.internal";',
    "forwarded": "proxy_set_header Forwarded 'for=$remote_addr;host=\"$host:443\";proto=https';",
    "both": "proxy_set_header Host $proxy_host; proxy_set_header X-Forwarded-Host $http_host;",
}
"""Where no line is about Host, nginx sends the server's own address."""
HAPROXY_HOSTS = {
    "as-it-came": "",
    "host-with-443": "http-request set-header Host %[req.hdr(host),field(1,:)]:443",
    "capitals": "http-request set-header Host %[req.hdr(host),upper]",
    "x-host": """
      http-request set-header X-Forwarded-Host %[req.hdr(host)]
      http-request set-header Host 127.0.0.1""",
    "x-host-twice": """
      http-request set-header X-Forwarded-Host edge.internal
      http-request add-header X-Forwarded-Host %[req.hdr(host)]
      http-request set-header Host 127.0.0.1""",
    "forwarded": """
      http-request set-header Forwarded "for=%[src];host=\\"%[req.hdr(host)]:443\\";proto=https"
      http-request set-header Host 127.0.0.1""",
}
"""Without a line, HAProxy hands on Host as it came."""
CADDY_HOSTS = {
    "as-it-came": "",
    "host": "header_up Host {host}",
    "hostport": "header_up Host {hostport}",
    "host-with-443": """header_up Host {host}:443
      header_up -X-Forwarded-Host""",
    "upstream": "header_up Host {upstream_hostport}",
    "x-host-twice": """header_up Host {upstream_hostport}
      header_up X-Forwarded-Host "{host}, edge.internal\"""",
    "forwarded": """header_up Host {upstream_hostport}
      header_up -X-Forwarded-Host
      header_up Forwarded "for={remote_host};host={host};proto=https\"""",
}
"""Without a line, Caddy hands on Host, and writes X-Forwarded-Host, -For and -Proto."""
PORT_NAMED = {
    "nginx": {"host-with-443", "x-host-with-443", "forwarded"},
    "haproxy": {"host-with-443", "forwarded"},
    "caddy": {"host-with-443"},
}
"""Where the server is told of port 443, and of no host without a port."""

# Clients come from 127.0.1.N; where a notation is of IPv6, 2001:db8:N::1 stands for that.
NGINX_ADDRESSES = {
    "append": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "replace": "proxy_set_header X-Forwarded-For $remote_addr;",
    "with-port": "proxy_set_header X-Forwarded-For $remote_addr:$remote_port;",
    "ipv6": "proxy_set_header X-Forwarded-For $six;",
    "ipv6-with-port": 'proxy_set_header X-Forwarded-For "$http_x_forwarded_for, [$six]:$remote_port";',
    "ipv4-in-ipv6": "proxy_set_header X-Forwarded-For ::ffff:$remote_addr;",
    "forwarded": """proxy_set_header X-Forwarded-For "";
      proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=https";""",
    "forwarded-ipv6": """proxy_set_header X-Forwarded-For "";
      proxy_set_header Forwarded 'for="[$six]:$remote_port";proto=https';""",
}
NGINX_SIX = 'map $remote_addr $six { "~^127\\.0\\.1\\.(?<number>.+)$" "2001:db8:$number::1"; }'
_HAPROXY_SIX = "2001:db8:%[src,field(4,.)]::1"
HAPROXY_ADDRESSES = {
    "append": "option forwardfor",
    "replace": "http-request set-header X-Forwarded-For %[src]",
    "with-port": "http-request set-header X-Forwarded-For %[src]:%[src_port]",
    "ipv6": f"http-request set-header X-Forwarded-For {_HAPROXY_SIX}",
    "ipv6-with-port": f"http-request add-header X-Forwarded-For [{_HAPROXY_SIX}]:%[src_port]",
    "forwarded": """
      http-request del-header X-Forwarded-For
      http-request add-header Forwarded for=%[src];proto=https""",
    "forwarded-ipv6": f"""
      http-request del-header X-Forwarded-For
      http-request set-header Forwarded for="\\"[{_HAPROXY_SIX}]:%[src_port]\\""
    """,
}
CADDY_ADDRESSES = {
    "as-it-came": "",
    "append": "trusted_proxies 127.0.0.0/8",
    "replace": "header_up X-Forwarded-For {remote_host}",
    "with-port": "header_up X-Forwarded-For {remote}",
    "ipv6-with-port": 'header_up X-Forwarded-For "[{six}]:{remote_port}"',
    "forwarded": """header_up -X-Forwarded-For
      header_up Forwarded "for={remote_host};proto=https\"""",
}
CADDY_SIX = 'map {remote_host} {six} {\n    ~127\\.0\\.1\\.(.+)$ "2001:db8:${1}::1"\n  }'

HOSTS = {"nginx": NGINX_HOSTS, "haproxy": HAPROXY_HOSTS, "caddy": CADDY_HOSTS}
ADDRESSES = {"nginx": NGINX_ADDRESSES, "haproxy": HAPROXY_ADDRESSES, "caddy": CADDY_ADDRESSES}
NOTATIONS = {kind: HOSTS[kind] | {f"for-{n}": t for n, t in ADDRESSES[kind].items()} for kind in HOSTS}
