# SPDX-License-Identifier: Apache-2.0
"""A small laboratory: sites in network namespaces with the real programs in them.

lab.py        namespaces, the network between them, cleaning up
process.py    programs that are started, watched and ended
servers.py    nginx and HAProxy of a site
node.py       one Signpost node: configuration, data plane, control process, signpostctl
dns.py        a client's DNS questions and what came back
cluster.py    two sites and a client, as in the demonstration and most system tests
"""
