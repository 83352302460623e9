# SPDX-License-Identifier: Apache-2.0
"""A small laboratory: sites in network namespaces with the real programs in them.

lab.py        namespaces, the network between them, cleaning up
process.py    programs that are started, watched and ended
servers.py    nginx and HAProxy of a site
node.py       one Signpost node: configuration, data plane, control process, signpostctl
dns.py        a client's DNS questions and what came back
cluster.py    two sites and a client, as in the demonstration and most system tests

A whole world, as users have it, for `scripts/lab`, the claims and the chaos run:

world.py      two sites and a client network, configured by the documentation's examples
network.py    routers, and the lines between them, which can be cut and made long (line.py)
site.py       balancer, two web servers, database and node, each on a host of its own
shop.py       a web server that executes the stateless application in shop/
postgres.py   PostgreSQL
site_sync.py  the daemon that keeps a site's database in step
browser.py    Chromium without a screen
writers.py    customers who write at both sites, and the account of what they were promised
resolvers.py  unbound and BIND, and the servers above the zones
"""
