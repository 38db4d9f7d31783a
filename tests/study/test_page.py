"""A participant's whole session in a real browser."""

import pytest

from likeness.study.answers import Answers, Participant
from likeness.study.scales import BETTER, KEYS, RATING, VOTE, questions
from tests.study.browser import CHROMIUM, Browser, chromium
from tests.study.studies import METHODS, NAMES, make, process, served

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
        heading(browser, "Do you hear it?")
        must_be_sound(browser)
        assert browser.value("document.querySelector('.heard').disabled")
        browser.click(".sound")
        browser.click(".heard")
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
        browser.until("document.querySelector('form .hint').textContent === 'Still to answer: realism, picture.'")
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
        heading(browser, "Do you hear it?")
        reach(".sound")
        browser.press("Enter", 13, "\r")
        reach(".heard")
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


# every request waits until `release()`; `refuse = true` makes the network fail
HELD = """(() => {
  const real = window.fetch, waiting = [];
  window.refuse = window.lose = false;
  window.held = () => waiting.length;
  window.release = () => waiting.splice(0).forEach((go) => go());
  window.fetch = async (...asked) => {
    if (window.refuse) throw new TypeError("no network");
    await new Promise((go) => waiting.push(go));
    const reply = await real(...asked);
    if (window.lose) throw new TypeError("the reply was lost");
    return reply;
  };
})()"""
HINT = "document.querySelector('form .hint').textContent"
TROUBLE = "!document.querySelector('#trouble').hidden"
GUARDED = "!dispatchEvent(new Event('beforeunload', {cancelable: true}))"
TIMES = "[...document.querySelectorAll('video')].map((video) => video.currentTime)"


def come_back(browser: Browser, server, code: str, *, open_votes: int = VOTED, open_ratings: int = 0) -> Participant:
    """Somebody who has answered all but the last few comes back to the first of those."""
    person = server.join(code)
    left = {RATING: open_ratings, VOTE: open_votes}
    trials = server.answers.trials(person.number)
    for trial in trials:
        if trial.place < sum(other.task == trial.task for other in trials) - left[trial.task]:
            for question in questions(trial.task):
                server.answers.give(person.number, trial.task, trial.place, question, "3" if trial.task == RATING else "left")
    browser.open(server.url)
    browser.click("#code")
    browser.write(code)
    browser.click("#return")
    heading(browser, "Welcome back")
    browser.click(".main")
    return person


def values(server, person: Participant, task: str, place: int) -> dict[str, str]:
    return {a.question: a.value for a in server.answers.given(person.number) if (a.trial.task, a.trial.place) == (task, place)}


def test_nobody_goes_on_before_an_answer_is_on_disk(browser, folder):
    with served(folder) as server:
        person = come_back(browser, server, "somebody", open_votes=1)
        heading(browser, f"{VOTED} of {VOTED}")
        browser.until(SEEN)
        assert browser.value(HINT) == "Choose one of the two."
        browser.click("input[name=better][value=left]")
        browser.until(READY)
        assert browser.value(HINT).startswith("Saved") and not browser.value(GUARDED)
        browser.value(HELD)
        browser.click("input[name=better][value=right]")
        browser.until("held() === 1")
        assert values(server, person, VOTE, VOTED - 1) == {BETTER: "left"}
        assert browser.value(HINT) == "Saving…" and browser.value(GUARDED)
        assert browser.value("document.querySelector('form .main').disabled && document.querySelector('form .back').disabled")
        browser.value("document.querySelector('form').requestSubmit()")
        heading(browser, f"{VOTED} of {VOTED}")
        browser.value("release()")
        browser.until(READY)
        assert values(server, person, VOTE, VOTED - 1) == {BETTER: "right"} and not browser.value(GUARDED)
        browser.click(NEXT)
        heading(browser, "Thank you")
        assert not browser.problems


def test_whom_the_study_does_not_know_any_more_begins_again(browser, folder):
    with served(folder) as server:
        first = come_back(browser, server, "first", open_ratings=1)
        heading(browser, f"{RATED} of {RATED}")
        browser.until(SEEN)
        server.blinding._people.clear()
        for key in KEYS:  # three answers are under way when the first one is refused
            browser.click(f"input[name={key}][value='2']")
        browser.until(TROUBLE)
        assert "does not know you" in browser.text() and "Try again" not in browser.text()
        browser.click("#trouble button")
        heading(browser, "How real")
        browser.problems.clear()  # the refusal
        browser.click("#code")
        browser.write("second")
        browser.click("form .main")
        browser.click(".sound")
        browser.click(".heard")
        browser.click(".main")
        heading(browser, f"1 of {RATED}")
        rate(browser, dict.fromkeys(KEYS, "5"))  # what is saved now is not held up by what was refused
        second = server.answers.find("second")
        assert values(server, second, RATING, 0) == dict.fromkeys(KEYS, "5")
        assert len(server.answers.given(second.number)) == len(KEYS) and not values(server, first, RATING, RATED - 1)
        assert browser.value("document.querySelector('#bar').value") == 1
        assert not browser.problems


def test_a_video_and_an_answer_in_trouble_do_not_hide_each_other(browser, folder):
    with served(folder) as server:
        person = server.join("somebody")
        server.answers.give(person.number, RATING, 0, "sync", "1")
        shown = server.blinding.path(server.blinding.sheet(person)["places"][RATING][0]["videos"][0].removeprefix("/video/"))
        away = shown.rename(shown.with_suffix(".away"))
        browser.open(server.url)
        browser.click("#code")
        browser.write("somebody")
        browser.click("#return")
        heading(browser, "Welcome back")
        browser.click(".main")
        heading(browser, f"1 of {RATED}")
        broken = "!document.querySelector('.fault').hidden"
        browser.until(broken)
        browser.value(HELD)
        browser.value("refuse = true")
        browser.click("input[name=realism][value='4']")
        browser.until(TROUBLE)
        browser.click(".fault button")
        browser.until(broken)
        assert browser.value(TROUBLE) and "not saved yet" in browser.text()
        browser.value("refuse = false")
        browser.click("#trouble button")
        browser.until("held() === 1")
        browser.value("release()")
        browser.until(f"!{HINT}.includes('Saving')")
        assert values(server, person, RATING, 0) == {"sync": "1", "realism": "4"}
        assert browser.value(broken) and not browser.value(TROUBLE)
        away.rename(shown)
        browser.click(".fault button")
        browser.until(f"!({broken}) && document.querySelector('video').readyState >= 3")
        browser.problems.clear()  # the video that was not there


def test_a_second_click_and_a_lost_reply_make_nobody_else(browser, folder):
    with served(folder) as server:
        browser.open(server.url)
        browser.value(HELD)
        browser.value("lose = true")
        for _ in range(2):
            browser.click("form .main")
        assert browser.value("held()") == 1
        browser.value("release()")
        browser.until("document.querySelector('#problem').textContent.includes('does not answer')")
        assert len(server.answers.participants()) == 1
        browser.value("lose = false")
        browser.click("form .main")
        browser.until("held() === 1")
        browser.value("release()")
        heading(browser, "Do you hear it?")
        (person,) = server.answers.participants()
        assert person.code in browser.text() and not browser.problems


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Two methods, one video of each, of 8 s."""
    return make(tmp_path_factory.mktemp("long") / "study", METHODS[:2], NAMES[:1], frames=200)


def test_who_drags_to_the_end_has_not_seen_it(browser, long):
    with served(long) as server:
        come_back(browser, server, "dragger", open_ratings=2)
        browser.click(".sound")
        browser.click(".heard")
        browser.click(".main")
        browser.until("document.querySelector('video').currentTime > 0.1")
        browser.drag(".deck input", 0.1, 1.0)
        browser.until("document.querySelector('video').ended")
        browser.value("new Promise((later) => setTimeout(later, 400))")
        assert not browser.value(SEEN) and browser.value(HINT) == "Watch all of the video first."
        assert browser.value("document.querySelector('.deck input').ariaValueText") == "8.0 of 8.0 seconds"
        browser.click(".play")
        browser.until(SEEN)
        assert browser.value("document.querySelector('video').currentTime") > 0.9 * 8
        assert not browser.problems


def test_two_videos_play_as_one(browser, long):
    with served(long) as server:
        come_back(browser, server, "watcher", open_votes=1)
        browser.click(".main")
        browser.until(f"{TIMES}.every((time) => time > 0.3)")
        assert browser.value("[...document.querySelectorAll('video')].map((v) => v.muted)") == [False, True]
        browser.click(".switch input[value=right]")
        assert browser.value("[...document.querySelectorAll('video')].map((v) => v.muted)") == [True, False]
        browser.click(".switch input[value=left]")
        browser.value("window.jumps = 0; document.querySelectorAll('video')[1].addEventListener('seeking', () => jumps++)")
        browser.value("document.querySelectorAll('video')[1].currentTime += 0.2")
        rates = "[...document.querySelectorAll('video')].map((v) => v.playbackRate)"
        browser.until(f"{rates}[1] < 1")
        assert browser.value(rates)[0] == 1  # the voice keeps its pitch and its pace
        browser.until(f"(([left, right]) => Math.abs(left - right) < 0.04)({TIMES})")
        assert browser.value("jumps") == 1  # which was this test's
        browser.value("document.querySelectorAll('video')[1].currentTime += 1")
        browser.until(f"jumps === 3 && (([left, right]) => Math.abs(left - right) < 0.15)({TIMES})")
        browser.click(".play")
        browser.value("(() => { const s = document.querySelector('.deck input'); s.value = 0.5; s.oninput(); })()")
        times = browser.value(TIMES)
        assert times[0] == times[1] > 3.9
        for _ in range(3):  # play() that a pause cuts short is no reason to stop
            browser.click(".play")
        assert browser.value("document.querySelector('.play').textContent") == "Pause"
        browser.until(f"{TIMES}.every((time) => time > 4.2)")
        assert not browser.problems


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(browser, folder, dark):
    browser.look(360, 640, dark=dark, phone=True)
    with served(folder) as server:
        browser.open(server.url)
        must_be_sound(browser)
        browser.click("form .main")
        heading(browser, "Do you hear it?")
        browser.click(".sound")
        must_be_sound(browser)
        browser.click(".heard")
        heading(browser, f"rate {RATED} videos")
        must_be_sound(browser)
        browser.click(".main")
        browser.until(SEEN)
        must_be_sound(browser)
        sizes = browser.value("[...document.querySelectorAll('.points label')].map((l) => l.getBoundingClientRect().height)")
        assert min(sizes) >= 44  # what a thumb can hit
        background = browser.value("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(n) for n in background[4:-1].split(",")) < 200) == dark


def test_two_videos_on_a_phone(browser, folder):
    browser.look(360, 640, phone=True)
    with served(folder) as server:
        come_back(browser, server, "somebody")
        browser.click(".main")
        heading(browser, f"1 of {VOTED}")
        upper, lower = browser.value("[...document.querySelectorAll('.stage')].map((s) => s.getBoundingClientRect().toJSON())")
        assert upper["left"] == lower["left"] and upper["bottom"] < lower["top"] and lower["bottom"] < 640
        assert min(upper["width"], upper["height"]) > 150
        browser.until(SEEN)
        must_be_sound(browser)
        assert "The upper one" in browser.text() and "left" not in browser.text()
        browser.click("input[name=better][value=right]")
        browser.until(READY)
        browser.look(640, 360, phone=True)
        assert "The left one" in browser.text() and "upper" not in browser.text()
        must_be_sound(browser)
        assert not browser.problems
