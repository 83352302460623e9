# SPDX-License-Identifier: Apache-2.0
"""A site's web servers (nginx) behind its balancer (HAProxy), as an operator would set them up."""
import os
import signal

from .process import wait_until

NGINX = """daemon off;
worker_processes 1;
pid {folder}/nginx-{name}.pid;
error_log {folder}/log/nginx-{name}.error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/nginx-{name}/body;
  proxy_temp_path {folder}/nginx-{name}/proxy;
  fastcgi_temp_path {folder}/nginx-{name}/fastcgi;
  uwsgi_temp_path {folder}/nginx-{name}/uwsgi;
  scgi_temp_path {folder}/nginx-{name}/scgi;
  server {{
    listen {listen};
    root {folder}/nginx-{name}/root;
    {more}
  }}
}}
"""

HAPROXY = """global
  maxconn 1000
  stats socket {folder}/haproxy-{name}.sock mode 600 level admin
defaults
  mode http
  timeout connect 200ms
  timeout client 5s
  timeout server 2s
  retries 3
  option redispatch
  default-server inter 200ms fall 2 rise 2
frontend web
{binds}
  default_backend servers
frontend stats
  bind {stats}
  stats enable
  stats uri /haproxy
backend servers
  balance roundrobin
{health}
{servers}
"""

# A backend that carries no traffic: HAProxy has its servers execute the page and looks for the database server's name.
DATABASE = """backend database
  option httpchk
  http-check send meth GET uri /db ver HTTP/1.1 hdr Host www.example.com
  http-check expect string {keyword}
{servers}
"""


class Web:
    """One nginx with one page. `more` goes into its server block."""

    def __init__(self, host, name, listen, page, more=""):
        self.host, self.name, self.listen = host, name, listen
        lab = host.lab
        self.page_path = lab.write(f"nginx-{name}/root/index.html", page)
        self.config = lab.write(f"nginx-{name}.conf", NGINX.format(folder=lab.directory, name=name, listen=listen,
                                                                        more=more))
        os.makedirs(os.path.join(lab.directory, "log"), exist_ok=True)
        self.process = None
        self.start()

    def start(self):
        # Without "user": as root of a user namespace nginx cannot change to another one.
        self.process = self.host.start(f"nginx-{self.name}", ["nginx", "-c", self.config, "-p", self.host.lab.directory,
                                                              "-g", "user root;"])

    def stop(self):
        self.process.stop()

    def kill(self):
        """Master and workers at once."""
        self.process.signal_group(signal.SIGKILL)
        self.process.popen.wait()

    def set_page(self, text):
        temporary = f"{self.page_path}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(temporary, self.page_path)


class Balancer:
    """HAProxy in front of some webs. `health` is a path to check them by; with `keyword` it also judges the database."""

    def __init__(self, host, name, binds, stats, webs, health="", keyword=""):
        self.host, self.name, self.stats = host, name, stats
        lab = host.lab
        self.socket = f"{lab.directory}/haproxy-{name}.sock"
        servers = "\n".join(f"  server {web.name} {web.listen} check" for web in webs)
        text = HAPROXY.format(folder=lab.directory, name=name, stats=stats, servers=servers,
                              health=f"  option httpchk GET {health}" if health else "",
                              binds="\n".join(f"  bind {bind}" for bind in binds))
        if keyword:
            text += DATABASE.format(keyword=keyword, servers=servers)
        self.config = lab.write(f"haproxy-{name}.cfg", text)
        self.process = None
        self.start()

    def start(self):
        self.process = self.host.start(f"haproxy-{self.name}", ["haproxy", "-db", "-f", self.config])

    def stop(self):
        self.process.stop()

    def kill(self):
        self.process.kill()


def page_comes(host, url, seconds=10):
    """Waits until the URL answers with status 200 inside the namespace."""
    wait_until(lambda: host.run("curl", "-sf", "-o", "/dev/null", "-m", "1", url, check=False).returncode == 0, seconds,
               f"{url} answers", pause=0.05)
