"""The server: ranges of bytes, blinding, what it does not take, and answers that outlive it."""

import json
import shutil
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.cli import run
from likeness.errors import BadInput, Refused
from likeness.study import StudyServer, report
from likeness.study.answers import FILE, VERSION, Answers
from likeness.study.scales import BETTER, CRITERION, KEYS, RATING, VOTE
from likeness.study.server import LONGEST_BODY, byte_range
from tests.study.studies import METHODS, NAMES, Visitor, process, served

PLACES = {RATING: len(METHODS) * len(NAMES), VOTE: len(METHODS) * (len(METHODS) - 1) // 2}


@pytest.fixture
def server(folder):
    with served(folder) as running:
        yield running


@pytest.fixture
def visitor(server) -> Visitor:
    return Visitor(server.url)


# ---- ranges


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", range(100)),
        ("bytes=0-0", range(1)),
        ("bytes=10-19", range(10, 20)),
        ("bytes=90-500", range(90, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-500", range(100)),
        ("bytes=100-", range(0)),
        ("bytes=-0", range(0)),
        ("bytes=20-10", None),  # not valid: ignored
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("frames=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges(header, wanted):
    found = byte_range(header, 100)
    assert found == wanted if wanted is None or wanted else (found is not None and len(found) == 0)


@settings(deadline=None)
@given(st.text(max_size=30), st.integers(0, 1000))
def test_any_header_gives_bytes_that_are_there(header, size):
    for text in (header, f"bytes={header}"):
        found = byte_range(text, size)
        assert found is None or not found or 0 <= found.start < found.stop <= size


def test_a_video_comes_whole_and_in_parts(server, visitor):
    place = visitor.begin()["places"][RATING][0]["videos"][0]
    path = server.blinding.path(place.removeprefix("/video/"))
    content = path.read_bytes()
    whole = visitor.get(place)
    assert whole.status == 200 and whole.body == content and whole.headers["Accept-Ranges"] == "bytes"
    part = visitor.get(place, Range="bytes=100-299")
    assert part.status == 206 and part.body == content[100:300]
    assert part.headers["Content-Range"] == f"bytes 100-299/{len(content)}" and part.headers["Content-Length"] == "200"
    tail = visitor.get(place, Range="bytes=-50")
    assert tail.status == 206 and tail.body == content[-50:]
    beyond = visitor.get(place, Range=f"bytes={len(content)}-")
    assert beyond.status == 416 and beyond.headers["Content-Range"] == f"bytes */{len(content)}" and beyond.body == b""
    head = visitor.ask("HEAD", place)
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == str(len(content))
    path.unlink()
    assert visitor.get(place).status == 404


# ---- blinding


def test_nothing_that_is_sent_names_a_method_or_a_file(server):
    visitors = [Visitor(server.url) for _ in range(len(METHODS) + 1)]
    for number, visitor in enumerate(visitors):
        visitor.begin(f"person {number}")
        for path in ("/", "/page.css", "/page.js", "/video/", "/none", f"/{METHODS[0]}", "/study.sqlite"):
            visitor.get(path)
        for task, places in visitor.sheet["places"].items():
            for place, shown in enumerate(places):
                for video in shown["videos"]:
                    assert visitor.get(video).status == 200
                    visitor.get(video, Range="bytes=0-99")
                    visitor.ask("HEAD", video)
                for question in visitor.sheet["questions"][task]:
                    assert visitor.answer(task, place, question, "3" if task == RATING else "left").status == 200
                    visitor.answer(task, place, question, "6")
        visitor.post("/sheet", {"who": visitor.sheet["who"]})
        visitor.begin(f"PERSON  {number}", "/continue")
        visitor.post("/begin", {"code": f"person {number}"})
    hints = [word.encode() for word in (*METHODS, *NAMES, *(f"{name}.mp4" for name in NAMES), str(server.videos.folder))]
    sent = [reply.everything.lower() for visitor in visitors for reply in visitor.replies]
    assert len(sent) > 200 and not [hint for hint in hints for text in sent if hint.lower() in text]
    headers = {name for visitor in visitors for reply in visitor.replies for name in reply.headers}
    assert not headers & {"ETag", "Last-Modified", "Content-Disposition", "Set-Cookie"}


def test_a_video_has_another_word_wherever_it_is_shown(server):
    words = []
    for _ in range(3):
        sheet = Visitor(server.url).begin()
        words += [video for places in sheet["places"].values() for place in places for video in place["videos"]]
    assert len(words) == len(set(words)) == 3 * (PLACES[RATING] + 2 * PLACES[VOTE])


def test_no_path_leads_out(server, visitor, folder):
    (folder / METHODS[0] / "other.txt").write_text("x")
    for path in (
        "/video/../page.html", "/../study.sqlite", "/video/..%2f..%2fstudy.sqlite", "/study.sqlite", f"/video/{METHODS[0]}",
        f"/{METHODS[0]}/{NAMES[0]}.mp4", "/page.html", "/server.py", "//etc/passwd", "/video/%00", "/?x",
    ):  # fmt: skip
        assert visitor.get(path).status == 404, path


def test_the_page_may_load_nothing_from_elsewhere(visitor):
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        reply = visitor.get(path)
        assert reply.status == 200 and reply.headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert b"http://" not in reply.body and b"https://" not in reply.body


# ---- what is taken and what is not


def test_answers_are_checked(server, visitor):
    visitor.begin("clever otter")
    good = {"who": visitor.sheet["who"], "task": RATING, "place": 0, "question": "sync", "value": "3"}
    assert visitor.post("/answer", good).status == 200
    for wrong in (
        {"who": "nobody"}, {"who": None}, {"task": "sing"}, {"task": ["rating"]}, {"place": PLACES[RATING]}, {"place": -1},
        {"place": True}, {"place": "0"}, {"question": "better"}, {"question": "x"}, {"question": 1}, {"value": "0"},
        {"value": "6"}, {"value": 3}, {"value": "left"}, {"value": "3 "}, {"task": VOTE}, {"task": VOTE, "question": BETTER},
    ):  # fmt: skip
        reply = visitor.post("/answer", good | wrong)
        assert reply.status == 400 and reply.json["error"], wrong
    assert [answer.value for answer in server.answers.given()] == ["3"]


def test_other_requests_are_refused(server, visitor):
    body = json.dumps({"code": "somebody"}).encode()
    assert visitor.ask("POST", "/begin", body).status == 400  # what a form of another site could send
    assert visitor.ask("POST", "/begin", body, Content_Type="text/plain").status == 400
    for nonsense in (b"", b"{", b"[]", b"\xff", b'{"code": 3}', b"[" * 4000):
        assert visitor.ask("POST", "/begin", nonsense, Content_Type="application/json").status == 400
    long = json.dumps({"code": "x" * LONGEST_BODY}).encode()
    assert visitor.ask("POST", "/begin", long, Content_Type="application/json").status == 400
    assert visitor.post("/none", {}).status == 400
    assert visitor.ask("PUT", "/answer", body).status == 501
    assert server.answers.participants() == []


def test_only_its_own_name_is_answered_to(server, folder, written, tmp_path):
    """Another site's name that is made to lead here must not let its page read ours (DNS rebinding)."""
    visitor, port = Visitor(server.url), server.server_address[1]
    body = json.dumps({"code": "somebody"}).encode()
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "a b"):
        for path in ("/", "/page.js", "/video/x", "/none"):
            assert visitor.get(path, Host=host).status == 421, host
        assert visitor.ask("POST", "/begin", body, Content_Type="application/json", Host=host).status == 421
    assert server.answers.participants() == []
    for host in (
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        "LOCALHOST",
        "localhost.",
        "[::1]:80",
        "192.168.1.7",
        "[fe80::1%eth0]",
    ):
        assert visitor.get("/", Host=host).status == 200, host
    other = shutil.copytree(written, tmp_path / "other")
    with served(other, name="Study.example.org") as named:
        assert Visitor(named.url).get("/", Host="study.example.org").status == 200
        assert Visitor(named.url).get("/", Host="example.org").status == 421


def test_only_its_own_page_may_ask(server, written, tmp_path):
    visitor, port = Visitor(server.url), server.server_address[1]
    sent = json.dumps({"code": None}).encode()
    for origin in ("http://evil.example", "null", "http://127.0.0.1", f"http://localhost:{port}", "http://[", ""):
        reply = visitor.ask("POST", "/begin", sent, Content_Type="application/json", Origin=origin)
        assert reply.status == 403, origin
    assert server.answers.participants() == []
    assert visitor.ask("POST", "/begin", sent, Content_Type="application/json", Origin=server.url.rstrip("/")).status == 200
    other = shutil.copytree(written, tmp_path / "other")
    with served(other, name="study.example.org") as named:  # behind a proxy that speaks HTTPS, with its Host or ours
        for host in ("study.example.org", f"127.0.0.1:{named.server_address[1]}"):
            asked = {"Content_Type": "application/json", "Origin": "https://study.example.org", "Host": host}
            assert Visitor(named.url).ask("POST", "/begin", sent, **asked).status == 200


def test_who_asks_again_by_the_same_key_is_the_same_person(server, visitor):
    said: list[str] = []
    server.say = said.append
    first = visitor.begin("clever otter", key="a" * 32)
    assert visitor.begin("clever otter", key="a" * 32) == visitor.begin(key="a" * 32) == first
    assert visitor.begin(key="b" * 32)["who"] != first["who"]
    assert said == ["participant 1 began", "participant 2 began"]
    for wrong in (3, "", "a" * 65, ["a"]):
        assert visitor.post("/begin", {"code": None, "key": wrong}).status == 400
    with ThreadPoolExecutor(8) as pool:
        sheets = list(pool.map(lambda _: Visitor(server.url).begin(key="c" * 32)["who"], range(8)))
    assert len(set(sheets)) == 1 and len(server.answers.participants()) == 3


def test_a_newcomer_gets_the_first_order_whose_holder_never_answered(server, folder):
    answers = server.answers
    first, second, third = (answers.join(code) for code in ("first", "second", "third"))
    orders = [answers.trials(person.number) for person in (first, second, third)]
    assert len({str(order) for order in orders}) == 3  # those who have only just begun keep theirs
    answers.give(second.number, RATING, 0, "sync", "1")
    with closing(sqlite3.connect(folder / FILE)) as table, table:
        table.execute("UPDATE participants SET joined = '2020-01-01T00:00:00.000+00:00'")
    later = [answers.join(f"later {number}") for number in range(3)]
    assert [person.number for person in later] == [3, 4, 5]
    assert [answers.trials(person.number) for person in later[:2]] == [orders[0], orders[2]]
    assert answers.trials(later[2].number) not in orders


def test_code_words(server):
    first = Visitor(server.url)
    assert first.begin("Clever  Otter")["code"] == "clever otter"
    assert "already" in first.post("/begin", {"code": "CLEVER otter"}).json["error"]
    assert first.post("/continue", {"code": " clever otter "}).json["who"] == first.sheet["who"]
    for wrong in ("", "ab", "x" * 41, "<b>bold</b>", "-abc", "a\x00bc", "=1+1"):
        assert first.post("/begin", {"code": wrong}).status == 400, wrong
        assert first.post("/continue", {"code": wrong}).status == 400, wrong
    assert "Nobody" in first.post("/continue", {"code": "stranger"}).json["error"]
    assert first.begin("Éloïse ÅÄÖ")["code"] == "éloïse åäö"
    assert first.begin("नमस्ते")["who"] == first.begin("नमस्ते", "/continue")["who"]
    given = [Visitor(server.url).begin()["code"] for _ in range(20)]
    assert len(set(given)) == 20 and len(server.answers.participants()) == 23


def test_many_at_once(server):
    def somebody(number: int) -> None:
        visitor = Visitor(server.url)
        visitor.begin(f"person {number}")
        for place in range(PLACES[RATING]):
            for key in KEYS:
                assert visitor.answer(RATING, place, key, str(1 + number % 5)).status == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(somebody, range(8)))
    given = server.answers.given()
    assert len(given) == 8 * PLACES[RATING] * len(KEYS)
    assert all(answer.value == str(1 + int(answer.participant.code[-1]) % 5) for answer in given)


# ---- persistence


def test_a_second_answer_replaces_the_first_and_both_are_kept(server, visitor, folder):
    visitor.begin()
    for value in ("2", "5"):
        visitor.answer(RATING, 1, "realism", value)
    assert [answer.value for answer in server.answers.given()] == ["5"]
    with sqlite3.connect(folder / FILE) as table:
        assert [row[0] for row in table.execute("SELECT value FROM history ORDER BY rowid")] == ["2", "5"]
        assert table.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert server.answers._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # full: after a power cut, too


def test_a_killed_server_loses_nothing(folder):
    with process(folder, "--seed", "5") as (url, running):
        visitor = Visitor(url)
        before = visitor.begin("river stone")
        for key in KEYS:
            assert visitor.answer(RATING, 0, key, "4").status == 200
        assert visitor.answer(RATING, 1, "sync", "1").status == 200
        running.send_signal(signal.SIGKILL)  # the moment the answer is acknowledged
        running.wait()
    with process(folder) as (url, running):
        visitor = Visitor(url)
        after = visitor.begin("river stone", "/continue")
        assert after["who"] == before["who"]
        shown = [[place["videos"] for place in places] for places in after["places"].values()]
        assert shown == [[place["videos"] for place in places] for places in before["places"].values()]
        assert after["places"][RATING][0]["answers"] == dict.fromkeys(KEYS, "4")
        assert after["places"][RATING][1]["answers"] == {"sync": "1"}
        assert visitor.get(shown[0][1][0]).status == 200
        assert visitor.answer(RATING, 1, "quality", "2").status == 200
        running.send_signal(signal.SIGINT)
        assert "study report" in running.communicate(timeout=60)[1] and running.returncode == 0
    answers = Answers.read(folder)
    assert answers.seed == 5 and len(answers.given()) == 5


def test_a_server_can_be_ended_where_nothing_may_be_raised(folder):
    with StudyServer(folder, say=lambda _: None) as server:
        threading.Timer(0.1, server.end).start()
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.05)


def test_a_disk_that_is_full_is_said_and_what_was_saved_stays(server, visitor):
    visitor.begin()
    assert visitor.answer(RATING, 0, "sync", "4").status == 200
    connection = server.answers._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    said: list[str] = []
    server.say = said.append
    replies = [visitor.answer(RATING, place, key, "1") for _ in range(60) for place in range(3) for key in KEYS]
    full = [reply for reply in replies if reply.status != 200]
    assert full and all(reply.status == 507 and "cannot write it down" in reply.json["error"] for reply in full)
    assert "disk is full" in said[0]
    connection.execute("PRAGMA max_page_count = 100000")
    assert visitor.answer(RATING, 0, "sync", "5").status == 200


def test_a_study_is_served_once(server, folder):
    with pytest.raises(Refused, match="another server"):
        StudyServer(folder)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_is_none(folder, seed):
    with pytest.raises(BadInput, match=f"--seed {seed}: is none"):
        StudyServer(folder, seed=seed)
    assert not (folder / FILE).exists()
    with served(folder, seed=2**63 - 1) as server:
        assert server.answers.seed == 2**63 - 1


def test_an_answer_that_has_arrived_is_written_before_the_study_is_closed(folder, monkeypatch):
    arrived = threading.Event()
    with served(folder) as server:
        visitor = Visitor(server.url)
        visitor.begin()
        give = server.answers.give

        def slowly(*answer):
            arrived.set()
            time.sleep(0.5)
            return give(*answer)

        monkeypatch.setattr(server.answers, "give", slowly)
        with ThreadPoolExecutor() as pool:
            reply = pool.submit(visitor.answer, RATING, 0, "sync", "4")
            assert arrived.wait(10)
            server.server_close()
            assert reply.result().status == 200
        with server.working() as may_work:
            assert not may_work
    answers = Answers.read(folder)
    assert [answer.value for answer in answers.given()] == ["4"]
    answers.close()


def test_a_study_that_has_begun_keeps_its_videos_and_its_seed(folder):
    with served(folder, seed=3):
        pass
    with pytest.raises(Refused, match="--seed 3"):
        StudyServer(folder, seed=4)
    video = folder / METHODS[0] / f"{NAMES[0]}.mp4"
    content = video.read_bytes()
    video.write_bytes((folder / METHODS[0] / f"{NAMES[1]}.mp4").read_bytes())
    with pytest.raises(Refused, match=f"changed: {METHODS[0]}/{NAMES[0]}.mp4"):
        StudyServer(folder)
    video.write_bytes(content)
    (folder / METHODS[2]).rename(folder / "later")
    with pytest.raises(Refused, match=f"gone: {METHODS[2]}/"):
        StudyServer(folder)
    (folder / "later").rename(folder / METHODS[2])
    with served(folder, seed=3) as server:
        assert server.answers.seed == 3


def test_a_file_that_is_no_study(folder):
    (folder / FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(BadInput, match="damaged"):
        StudyServer(folder)
    (folder / FILE).unlink()
    with sqlite3.connect(folder / FILE) as table:
        table.execute("CREATE TABLE other (x)")
    for version, kind, said in ((0, Refused, "another version"), (VERSION, BadInput, "no study")):
        with closing(sqlite3.connect(folder / FILE)) as table:
            table.execute(f"PRAGMA user_version = {version}")
        before = (folder / FILE).read_bytes()
        for attempt in (StudyServer, report):
            with pytest.raises(kind, match=said):
                attempt(folder)
        assert (folder / FILE).read_bytes() == before and not (folder / f"{FILE}-wal").exists()
    (folder / FILE).write_bytes(b"")
    with pytest.raises(BadInput, match="is empty"):
        report(folder)
    with served(folder):
        assert report(folder).participants == []


def test_a_report_only_reads(folder):
    with served(folder) as server:
        Visitor(server.url).begin()
        answers = Answers.read(folder)
        assert len(answers.participants()) == 1
        with pytest.raises(BadInput, match="readonly"):
            answers.join("somebody")
        answers.close()
    assert len(report(folder).participants) == 1


def test_a_file_that_another_program_keeps_locked(folder, monkeypatch):
    monkeypatch.setattr("likeness.study.answers.WAIT_S", 0.1)
    with served(folder):
        pass
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as table:
        table.execute("PRAGMA locking_mode = EXCLUSIVE")
        table.execute("BEGIN EXCLUSIVE")
        for attempt in (StudyServer, report):
            with pytest.raises(BadInput, match="another program keeps it locked"):
                attempt(folder)


def test_an_address_that_cannot_be_listened_on(server, written, tmp_path):
    other = shutil.copytree(written, tmp_path / "other")
    port = server.server_address[1]
    for wrong, said in (({"port": port}, f"port {port}"), ({"host": "203.0.113.1"}, "203.0.113.1"), ({"port": 70000}, "70000")):
        with pytest.raises(BadInput, match=said):
            StudyServer(other, **wrong)
    with served(other, host="::1") as six:
        assert six.is_private and six.url.startswith("http://[::1]:")
        assert Visitor(six.url).get("/").status == 200


def test_who_has_answered_everything_is_said(server, visitor):
    said: list[str] = []
    server.say = said.append
    visitor.begin()
    for task, places in PLACES.items():
        for place in range(places):
            for question in visitor.sheet["questions"][task]:
                visitor.answer(task, place, question, "3" if task == RATING else "right")
    visitor.answer(RATING, 0, "sync", "4")
    assert said == ["participant 1 began", "participant 1 has answered everything"]


def test_the_last_of_answers_that_come_together_is_told_from_the_others(server):
    said: list[str] = []
    server.say = said.append
    person = server.join("hasty")
    asked = [(RATING, place, key, "3") for place in range(PLACES[RATING]) for key in KEYS]
    asked += [(VOTE, place, BETTER, "left") for place in range(PLACES[VOTE])]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda answer: server.give(person, *answer), asked))
    assert said == ["participant 1 began", "participant 1 has answered everything"]
    assert server.answers.give(person.number, *asked[0]) is None
    other = server.answers.join("slow")
    assert [server.answers.give(other.number, *answer) for answer in asked] == list(range(len(asked) - 1, -1, -1))


def test_the_port_is_the_same_each_time(folder, capsys):
    """Participants find their way back only at the same address."""
    with closing(socket.socket()) as other:
        with suppress(OSError):  # taken by somebody else, which does as well
            other.bind(("127.0.0.1", 8311))
            other.listen()
        assert run(["study", "serve", str(folder)]) == 3
    said = capsys.readouterr().err
    assert "8311: another program listens there" in said and "--port" in said


def test_how_long_it_takes_is_told(visitor, server):
    shown = visitor.get("/").body.decode()
    assert server.minutes == 3  # 6 ratings of 0.6 + 18 s, 3 votes of 0.6 + 8 s
    assert "about 3 minutes" in shown and CRITERION in shown
