# SPDX-License-Identifier: Apache-2.0
"""Network namespaces around one bridge, and everything that has to go again at the end."""
import atexit
import ctypes
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from .process import Process

BUILD = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "build")
CLONE_NEWNET = 0x40000000
FOLDER = "signpost-lab-"  # begins the name of a laboratory's folder; then comes its prefix, which has its maker's number
# Shared memory of a program's own, which is gone with it: killed servers leave theirs behind otherwise.
OWN_SHM = ["sh", "-c", 'mount -t tmpfs -o size=256m shm /dev/shm && exec "$@"', "sh"]
_libc = ctypes.CDLL(None, use_errno=True)


def program(name):
    """Path of one of our programs; SIGNPOST_BIN names another build's folder."""
    return os.path.join(os.environ.get("SIGNPOST_BIN", BUILD), name)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def ip_batch(namespace, *lines):
    """Many `ip` commands in one namespace at the price of one."""
    done = subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip in {namespace}: {done.stderr.strip()}\n" + "\n".join(lines))


def run_in(namespace, *command):
    """A command of the laboratory's own in a namespace that is no host."""
    done = subprocess.run(["ip", "netns", "exec", namespace, *command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} in {namespace}: {done.stderr.strip()}")
    return done.stdout


def in_namespace(namespace, make):
    """What `make` returns, a socket, made by a thread that has gone into the namespace."""
    made = []

    def work():
        try:
            with open(f"/run/netns/{namespace}", "rb") as handle:
                if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:  # of this thread alone
                    raise OSError(ctypes.get_errno(), f"the namespace {namespace} cannot be entered")
            made.append(make())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def can_make_namespaces():
    """Empty, or the reason why not."""
    probe = f"spprobe{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip()
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return ""


def enter_own_namespaces():
    """As an ordinary user: runs this very command again as root of a user namespace of its own."""
    if os.geteuid() == 0 or os.environ.get("SIGNPOST_UNSHARED"):
        return
    inner = 'mount -t tmpfs none /run && exec "$@"'
    os.environ["SIGNPOST_UNSHARED"] = "1"
    tried = subprocess.run(["unshare", "-Urnm", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        sys.exit("This needs network namespaces, and this user may not make any:\n"
                 f"  {tried.stderr.strip()}\n"
                 "Run it as root, or have an administrator allow user namespaces:\n"
                 "  sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000")
    os.execvp("unshare", ["unshare", "-Urnm", "sh", "-c", inner, "sh", sys.executable, *sys.argv])


def sweep(namespace):
    """Ends what still runs in a namespace (children whose parent was killed), and the namespace."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
        pids = [pid for pid in map(int, found.stdout.split()) if pid != os.getpid()]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def sweep_away(prefix, directory):
    """Whatever is there of the laboratory with this prefix and this folder: processes, namespaces, mounts, files."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for namespace in re.findall(rf"^({re.escape(prefix)}-\S+)", listed, re.MULTILINE):
        sweep(namespace)
    if not directory:
        return True
    with open("/proc/mounts", encoding="utf-8") as file:
        for path in [line.split()[1] for line in file if line.split()[1].startswith(f"{directory}/")]:
            subprocess.run(["umount", "--lazy", path], check=False, capture_output=True)
    deadline = time.monotonic() + 5
    while os.path.exists(directory) and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)  # again when a program that just ended wrote its last
    return not os.path.exists(directory)


def sweep_dead():
    """Laboratories of this user whose makers were killed (kill -9, no memory) and could not clean up; their prefixes."""
    folders = glob.glob(os.path.join(tempfile.gettempdir(), f"{FOLDER}sp*"))
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    found = {prefix: "" for prefix in re.findall(r"\bsp\d+x\d+(?=-)", listed)}
    found.update({os.path.basename(path)[len(FOLDER):].split("-")[0]: path for path in folders
                  if os.stat(path).st_uid == os.getuid()})
    dead = [(prefix, path) for prefix, path in found.items() if not os.path.exists(f"/proc/{prefix[2:].split('x')[0]}")]
    for prefix, path in dead:
        sweep_away(prefix, path)
    return [prefix for prefix, _ in dead]


class Host:
    """One namespace with one interface on a bridge: the laboratory's, or the one in the namespace `switch`."""

    def __init__(self, lab, name, interface="eth0", switch=None):
        self.lab = lab
        self.name = name
        self.interface = interface
        self.switch = switch or lab.bridge
        self.resolv_conf = None  # a file that stands in for /etc/resolv.conf
        self.namespace = f"{lab.prefix}-{name}"
        self.link = f"{lab.prefix[-6:]}{name}"[:15]  # the other end, in the bridge's namespace

    def prefix(self):
        enter = ["ip", "netns", "exec", self.namespace]
        if self.resolv_conf:
            enter += ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.resolv_conf]
        return enter

    def ip(self, *arguments):
        ip("-n", self.namespace, *arguments)

    def add_address(self, address):
        self.ip("addr", "add", address, "dev", self.interface, *(["nodad"] if ":" in address else []))

    def run(self, *command, check=True, timeout=60, env=None):
        done = subprocess.run([*self.prefix(), *command], capture_output=True, text=True, check=False,
                              timeout=timeout, env=env)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} in {self.name}: status {done.returncode}\n{done.stdout}"
                               f"{done.stderr}")
        return done

    def start(self, name, command, **options):
        return self.lab.start(f"{self.name}-{name}", command, prefix=[*self.prefix(), *OWN_SHM], **options)

    def set_link(self, is_up):
        """Plugs the cable in or pulls it, on the bridge's side."""
        ip("-n", self.switch, "link", "set", self.link, "up" if is_up else "down")

    def socket(self, *arguments):
        """A socket inside this namespace; it stays there whoever uses it."""
        return in_namespace(self.namespace, lambda: socket.socket(*arguments))


ENDING = (signal.SIGTERM, signal.SIGHUP)


def end(*_):
    """The program cleans up and ends; a second signal neither stops that nor meets the interpreter on its way out."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


def end_on_signals():
    """What was started must not go on when somebody, or a time limit, ends the program."""
    for number in ENDING:
        signal.signal(number, end)


class Lab:
    """Use as a context manager. Everything it made goes at the end, also after an exception or a signal, and also when
    it did not even come up."""
    counter = 0

    def __init__(self, keep=False):
        Lab.counter += 1
        self.prefix = f"sp{os.getpid()}x{Lab.counter}"
        self.bridge = f"{self.prefix}-lan"
        self.directory = None  # made when it is entered
        self.hosts = {}
        self.namespaces = []
        self.processes = []
        self.keep = keep
        self.is_closed = False

    def __enter__(self):
        atexit.register(self.close)
        if threading.current_thread() is threading.main_thread():
            end_on_signals()
        try:
            self.directory = tempfile.mkdtemp(prefix=f"{FOLDER}{self.prefix}-")
            self.add_switch(self.bridge)
            self.come_up()
        except BaseException as problem:
            if not isinstance(problem, SystemExit):
                self.show_logs(10)
            self.close()
            raise
        return self

    def come_up(self):
        """What a laboratory of a certain kind has from the beginning."""

    def add_switch(self, namespace):
        """A namespace with a bridge, br0, for hosts to be plugged into."""
        ip("netns", "add", namespace)
        self.namespaces.append(namespace)
        ip_batch(namespace, "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0", "link set br0 up",
                 "link set lo up")

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, SystemExit):
            self.show_logs()
        if not self.keep:
            self.close()

    def add_host(self, name, addresses=(), interface="eth0", switch=None):
        host = Host(self, name, interface, switch)
        ip("netns", "add", host.namespace)
        self.namespaces.append(host.namespace)
        self.hosts[name] = host
        ip("link", "add", interface, "netns", host.namespace, "type", "veth", "peer", "name", host.link, "netns",
           host.switch)
        # af_packet and af_xdp see frames as they are in memory: checksums have to be there.
        host.run("ethtool", "-K", interface, "tx", "off", "gso", "off", "tso", "off")
        # A tag that stands beside the frame (which is how the kernel carries it) never reaches an AF_XDP socket.
        subprocess.run(["ip", "netns", "exec", host.switch, "ethtool", "-K", host.link, "txvlan", "off"], check=False,
                       capture_output=True)
        ip("-n", host.switch, "link", "set", host.link, "master", "br0", "up")
        ip_batch(host.namespace, "link set lo up", f"link set {interface} up",
                 *(f"addr add {address} dev {interface}{' nodad' if ':' in address else ''}" for address in addresses))
        return host

    def path(self, *parts):
        path = os.path.join(self.directory, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def mount_small(self, name, size):
        """A disk of this size at a path of the laboratory's folder, in memory."""
        path = self.path(name, "x")[:-2]
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path], check=True, capture_output=True)

    def start(self, name, command, **options):
        process = Process(name, command, self.path("log", f"{name}.log"), **options)
        self.processes.append(process)
        return process

    def show_logs(self, lines=40):
        folder = os.path.join(self.directory, "log") if self.directory else ""
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as log:
                last = log.read().splitlines()[-lines:]
            if last:
                print(f"--- {name}", *last, sep="\n", flush=True)

    def close(self):
        """Goes to its end: a second signal does not stop it, and one thing that cannot be ended does not keep the rest."""
        if self.is_closed or not self.directory:
            return
        self.is_closed = True
        kept = {}
        if threading.current_thread() is threading.main_thread():
            kept = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
        for process in reversed(self.processes):
            process.signal(signal.SIGCONT)
            process.signal(process.stop_signal)
        for process in reversed(self.processes):
            process.stop(5)
        for namespace in reversed(self.namespaces):
            sweep(namespace)
        if not sweep_away(self.prefix, self.directory):
            print(f"{self.directory} could not be removed", file=sys.stderr, flush=True)
        for number, handler in kept.items():
            signal.signal(number, handler)
