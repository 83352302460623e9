# SPDX-License-Identifier: Apache-2.0
"""A web server of the shop: nginx, and php-fpm which executes the stateless application in shop/shop.php."""
import glob
import os
import signal

from .servers import Web

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shop")
SCHEMA = os.path.join(FOLDER, "schema.sql")

PHP_FPM = """[global]
error_log = {folder}/log/php-{name}.log
daemonize = no
[shop]
user = root
listen = {folder}/php-{name}.sock
pm = static
pm.max_children = 3
pm.max_requests = 0
"""

LOCATIONS = """
    location = /health {{ return 200 "ok\\n"; }}
    location = /favicon.ico {{ return 204; }}
    location = /visit {{ alias {visit}; default_type text/html; }}
    location = /film {{ limit_rate 1k; alias {folder}/film; default_type video/mp4; }}
    location / {{
      fastcgi_pass unix:{folder}/php-{name}.sock;
      fastcgi_read_timeout 3s;
      fastcgi_param SCRIPT_FILENAME {program};
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param DOCUMENT_URI $document_uri;
      fastcgi_param WEB_NAME {name};
      fastcgi_param DATABASE {database};
    }}"""


def php_fpm():
    """Debian names the program after its version."""
    found = sorted(glob.glob("/usr/sbin/php-fpm*"))
    if not found:
        raise RuntimeError("no php-fpm here: scripts/install-deps lab installs it")
    return found[-1]


class ShopServer:
    """Executes pages; `database` is the address of the site's database. The pages are the same on all servers."""

    def __init__(self, host, address, database):
        self.host, self.name, self.listen = host, host.name, f"{address}:8080"
        lab = host.lab
        self.config = lab.write(f"php-{self.name}.conf", PHP_FPM.format(folder=lab.directory, name=self.name))
        self.program = f"{lab.directory}/shop-{self.name}.php"
        self.publish()
        lab.write("film", "#" * 500000)  # long, and sent slowly: whoever watches it is a session
        self.php = None
        self.start_php()
        self.web = Web(host, self.name, self.listen, "", LOCATIONS.format(
            folder=lab.directory, name=self.name, program=self.program, database=database,
            visit=os.path.join(FOLDER, "visit.html")))

    def start_php(self):
        self.php = self.host.start("php", [php_fpm(), "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", self.config])

    def publish(self, edit=lambda text: text):
        """Puts the application there; `edit` may change its text (what a bad release does)."""
        with open(os.path.join(FOLDER, "shop.php"), encoding="utf-8") as file:
            text = edit(file.read())
        self.host.lab.write(os.path.basename(self.program) + ".new", text)
        os.rename(f"{self.program}.new", self.program)

    def start(self):
        if not self.php.is_running():
            self.start_php()
        if not self.web.process.is_running():
            self.web.start()

    def kill(self):
        self.web.kill()
        self.php.signal_group(signal.SIGKILL)
        self.php.popen.wait()

    def suspend(self):
        for process in (self.web.process, self.php):
            process.signal_group(signal.SIGSTOP)

    def resume(self):
        for process in (self.web.process, self.php):
            process.signal_group(signal.SIGCONT)
