"""A participant's whole session in a real browser."""

import pytest

from likeness.study.answers import Answers
from likeness.study.scales import BETTER, KEYS, RATING, VOTE
from tests.study.browser import CHROMIUM, Browser, chromium
from tests.study.studies import METHODS, NAMES, process, served

pytest.importorskip("websockets", reason="the package websockets, of the extra dev, is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no program chromium (Debian: apt-get install chromium)")

RATED, VOTED = len(METHODS) * len(NAMES), len(METHODS) * (len(METHODS) - 1) // 2
HEADING = "document.querySelector('h1').textContent"
SEEN = "!document.querySelector('form fieldset').disabled"
NEXT = "form .main"
READY = f"!document.querySelector('{NEXT}').disabled"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def browser(program) -> Browser:
    program.look(1200, 850)
    program.problems.clear()
    return program


def heading(browser: Browser, text: str) -> None:
    browser.until(f"{HEADING}.includes({text!r})")


def rate(browser: Browser, values: dict[str, str]) -> None:
    """Watch the video, then answer with the mouse."""
    browser.until(SEEN)
    for key, value in values.items():
        browser.click(f"input[name={key}][value='{value}']")
    browser.until(READY)


def must_be_sound(browser: Browser) -> None:
    """Nothing in the page names a method or a file, sticks out, or lacks a name for those who do not see it."""
    page = browser.value("document.documentElement.outerHTML + location + JSON.stringify(localStorage)").lower()
    assert not [word for word in (*METHODS, *NAMES) if word in page]
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    assert browser.value("document.activeElement !== document.body"), "the keyboard has lost its place"
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in ("button", "radio", "radiogroup", "textbox", "slider", "progressbar", "Video", "group"):
            assert node.get("ignored") or node.get("name", {}).get("value"), node
    assert {"main", "heading"} <= {node.get("role", {}).get("value") for node in nodes}


def test_a_whole_session(browser, folder):
    chosen: dict[tuple[str, int, str], str] = {}
    with process(folder) as (url, running):
        browser.open(url)
        must_be_sound(browser)
        browser.click("#code")
        browser.write("no!")
        browser.press("Enter", 13, "\r")
        browser.until("document.querySelector('#problem').textContent.includes('letters, digits')")
        browser.problems.clear()  # the refusal
        browser.value("document.querySelector('#code').select()")
        browser.write("Clever Otter")
        browser.press("Enter", 13, "\r")
        heading(browser, f"rate {RATED} videos")
        must_be_sound(browser)
        browser.click(".main")

        for place in range(3):
            heading(browser, f"{place + 1} of {RATED}")
            values = {key: str(1 + (place + i) % 5) for i, key in enumerate(KEYS)}
            rate(browser, values)
            must_be_sound(browser)
            chosen |= {(RATING, place, key): value for key, value in values.items()}
            browser.click(NEXT)

        heading(browser, f"4 of {RATED}")
        browser.until(SEEN)
        browser.click("input[name=sync][value='2']")
        browser.until("document.querySelector('form .hint').textContent.includes('think')")
        browser.until("document.querySelector('#bar').value === 3")
        browser.reload()  # in the middle of a video's questions
        heading(browser, "Welcome back")
        assert "clever otter" in browser.text() and f"{RATED - 3 + VOTED} more" in browser.text()
        must_be_sound(browser)
        browser.click(".main")
        heading(browser, f"4 of {RATED}")
        assert browser.value("document.querySelector('input[name=sync][value=\"2\"]').checked")
        browser.click("button.back")  # what was answered may be changed
        heading(browser, f"3 of {RATED}")
        browser.click("input[name=quality][value='2']")
        browser.until("document.querySelector('form .hint').textContent.includes('Saved')")
        chosen[RATING, 2, "quality"] = "2"
        browser.until(READY)
        browser.click(NEXT)
        heading(browser, f"4 of {RATED}")
        assert not browser.problems

        port = url.rstrip("/").rsplit(":", 1)[1]
        running.kill()
        running.wait()
        browser.click("input[name=realism][value='4']")
        browser.until("!document.querySelector('#trouble').hidden")
        assert "not saved yet" in browser.text()
    with process(folder, "--port", port):
        browser.click("#trouble button")
        browser.until("document.querySelector('#trouble').hidden")
        browser.problems.clear()
        rate(browser, {"quality": "1"})
        chosen |= {(RATING, 3, "sync"): "2", (RATING, 3, "realism"): "4", (RATING, 3, "quality"): "1"}
        browser.click(NEXT)
        for place in range(4, RATED):
            heading(browser, f"{place + 1} of {RATED}")
            rate(browser, dict.fromkeys(KEYS, "3"))
            chosen |= {(RATING, place, key): "3" for key in KEYS}
            browser.click(NEXT)

        heading(browser, f"choose {VOTED} times")
        must_be_sound(browser)
        browser.click(".main")
        for place in range(VOTED):
            heading(browser, f"{place + 1} of {VOTED}")
            browser.until(SEEN)
            must_be_sound(browser)
            side = ("left", "right")[place % 2]
            browser.click(f"input[name=better][value={side}]")
            chosen[VOTE, place, BETTER] = side
            browser.until(READY)
            browser.click(NEXT)
        heading(browser, "Thank you")
        must_be_sound(browser)
        assert not browser.problems
        browser.click(".other")
        heading(browser, "How real")
        assert browser.value("localStorage.length") == 0

    answers = Answers.read(folder)
    assert {(a.trial.task, a.trial.place, a.question): a.value for a in answers.given()} == chosen
    assert [person.code for person in answers.participants()] == ["clever otter"]
    assert len(answers._all("SELECT * FROM history")) == len(chosen) + 1


def test_with_the_keyboard_alone(browser, folder):
    def reach(selector: str) -> None:
        for _ in range(25):
            if browser.value(f"document.activeElement.matches({selector!r})"):
                return
            browser.press("Tab", 9)
        raise AssertionError(f"{selector} is not reached by Tab")

    with served(folder) as server:
        browser.open(server.url)
        reach("form .main")
        browser.press("Enter", 13, "\r")
        heading(browser, f"rate {RATED} videos")
        reach(".main")
        browser.press("Enter", 13, "\r")
        heading(browser, f"1 of {RATED}")
        browser.until(SEEN)
        for key in KEYS:
            reach(f"input[name={key}]")
            browser.press("4", 52, "4")
        browser.until(READY)
        reach("form .main")
        browser.press("Enter", 13, "\r")
        heading(browser, f"2 of {RATED}")
        browser.until("document.activeElement === document.querySelector('h1')")
        assert [answer.value for answer in server.answers.given()] == ["4", "4", "4"]
        assert server.answers.participants()[0].code.count("-") == 2  # one that was made up
        assert not browser.problems


def test_two_videos_play_as_one(browser, folder):
    with served(folder) as server:
        person = server.join("somebody")
        for trial in server.answers.trials(person.number):
            for key in KEYS if trial.task == RATING else ():
                server.answers.give(person.number, RATING, trial.place, key, "3")
        browser.open(server.url)
        browser.click("#code")
        browser.write("somebody")
        browser.click("#return")
        heading(browser, "Welcome back")
        browser.click(".main")
        heading(browser, f"choose {VOTED} times")
        browser.click(".main")
        browser.until(SEEN)
        assert browser.value("[...document.querySelectorAll('video')].map((v) => v.muted)") == [False, True]
        browser.click(".switch input[value=right]")
        assert browser.value("[...document.querySelectorAll('video')].map((v) => v.muted)") == [True, False]
        browser.click(".play")
        apart = browser.value(
            """(async () => {
              const [left, right] = document.querySelectorAll("video");
              const apart = [];
              while (!(left.ended && right.ended)) {
                apart.push(left.ended || right.ended ? 0 : Math.abs(left.currentTime - right.currentTime));
                await new Promise((soon) => setTimeout(soon, 20));
              }
              return apart;
            })()"""
        )
        assert len(apart) > 5 and max(apart) < 0.2
        browser.value("(() => { const s = document.querySelector('.deck input'); s.value = 0.5; s.oninput(); })()")
        times = browser.value("[...document.querySelectorAll('video')].map((v) => v.currentTime)")
        assert times[0] == times[1] > 0.2
        assert not browser.problems


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(browser, folder, dark):
    browser.look(360, 640, dark=dark, phone=True)
    with served(folder) as server:
        browser.open(server.url)
        must_be_sound(browser)
        browser.click("form .main")
        heading(browser, f"rate {RATED} videos")
        must_be_sound(browser)
        browser.click(".main")
        browser.until(SEEN)
        must_be_sound(browser)
        sizes = browser.value("[...document.querySelectorAll('.points label')].map((l) => l.getBoundingClientRect().height)")
        assert min(sizes) >= 44  # what a thumb can hit
        background = browser.value("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(n) for n in background[4:-1].split(",")) < 200) == dark
