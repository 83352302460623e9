# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium without a screen, in a host's namespace, with one page open; spoken to by DevTools over a pair of pipes."""
import json
import os
import select
import time

PROGRAM = "chromium-headless-shell"
# Only one of its processes has the pipes: numbers 3 and 4, as --remote-debugging-pipe wants them.
WITH_PIPES = ["bash", "-c", 'exec "$@" 3<&"$COMMANDS" 4>&"$REPLIES"', "bash"]


class Browser:
    """Opens `url` at once. `close` ends it; a laboratory does so too."""

    def __init__(self, host, url):
        lab = host.lab
        name = f"chromium-{len(lab.processes)}"
        folder = lab.path(name, "x")[:-2]
        commands, self.to_browser = os.pipe()
        self.from_browser, replies = os.pipe()
        self.process = host.start(name, [
            *WITH_PIPES, PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-pipe", "--no-first-run", "--disable-background-networking", f"--user-data-dir={folder}"],
            env={**os.environ, "HOME": folder, "COMMANDS": str(commands), "REPLIES": str(replies)}, pass_fds=(commands, replies))
        for end in (commands, replies):
            os.close(end)
        self.last, self.pending = 0, b""
        target = self.ask("Target.createTarget", {"url": url})["targetId"]
        self.session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def ask(self, method, parameters, session=None, seconds=30):
        """One DevTools command; its result."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            *messages, self.pending = self.pending.split(b"\0")
            for text in messages:
                reply = json.loads(text)
                if reply.get("id") == self.last:
                    if "error" in reply:
                        raise RuntimeError(f"{method}: {reply['error']}")
                    return reply["result"]
            if not select.select([self.from_browser], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise RuntimeError(f"{method}: no reply of {PROGRAM} within {seconds} s")
            more = os.read(self.from_browser, 65536)
            if not more:
                raise RuntimeError(f"{method}: {PROGRAM} has ended: {self.process.log()[-500:]}")
            self.pending += more

    def evaluate(self, expression):
        """The value of an expression of JavaScript in the page."""
        done = self.ask("Runtime.evaluate", {"expression": expression, "returnByValue": True}, self.session)
        return done["result"].get("value")

    def close(self):
        self.process.stop()
        for end in (self.to_browser, self.from_browser):
            os.close(end)
