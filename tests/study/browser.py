"""Debian's Chromium without a window, driven through the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--remote-debugging-port=0", "--mute-audio", "--hide-scrollbars",
]  # fmt: skip
PATIENCE_S = 30.0


class Browser:
    """One tab. `calls` are DevTools methods; clicks and keys are real input events, at the places where things are drawn."""

    def __init__(self, address: str) -> None:
        from websockets.sync.client import connect

        self._socket = connect(address, max_size=None)
        self._number = 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(message["params"]["exceptionDetails"]))
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.problems.append(message["params"]["entry"]["text"])
            if message.get("id") == self._number:
                if "navigated" in message.get("error", {}).get("message", ""):
                    return {"result": {}}  # asked of a page that gave way to another one: it has no value
                assert "error" not in message, message
                return message["result"]

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is."""
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"never true: {expression}\n{self.text()}\n{self.problems}"
            time.sleep(0.03)
        return value

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && document.querySelector('h1') !== null")

    def reload(self) -> None:
        self.value("document.title = 'old'")
        self.call("Page.reload")
        self.until("document.title !== 'old' && document.querySelector('h1') !== null")

    def text(self) -> str:
        return self.value("document.body.innerText")

    def click(self, selector: str) -> None:
        """Press the mouse on an element, as soon as it can be seen and used."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{found} && !{found}.matches(':disabled') && {found}.getClientRects().length > 0")
        self.value(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.value(f"(({{x, y, width, height}}) => ({{x, y, width, height}}))({found}.getBoundingClientRect())")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def drag(self, selector: str, start: float, end: float) -> None:
        """Hold the mouse down on an element and move it, from one share of its width to another."""
        self.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.value(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        y = box["y"] + box["height"] / 2
        shares = [start + (end - start) * step / 10 for step in range(11)]
        for kind, share in (("mousePressed", start), *(("mouseMoved", share) for share in shares), ("mouseReleased", end)):
            x = box["x"] + box["width"] * share
            self.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, x=x, y=y)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key, given by its name and its Windows key code."""
        more = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """The size of the window, and light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A tab of a Chromium of its own, which ends with the block."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root cannot have
    command = [str(CHROMIUM), *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        told = profile / "DevToolsActivePort"
        end = time.monotonic() + 2 * PATIENCE_S
        while not (told.is_file() and len(told.read_text().split()) == 2):
            assert running.poll() is None and time.monotonic() < end, "Chromium did not start"
            time.sleep(0.1)
        port = told.read_text().split()[0]
        with urlopen(Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT"), timeout=PATIENCE_S) as answer:
            tab = Browser(json.load(answer)["webSocketDebuggerUrl"])
        try:
            yield tab
        finally:
            tab.close()
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
