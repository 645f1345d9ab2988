"""What stands before Streamlit: a stranger changes nothing, and who is signed in sends only what pages send."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value, generate_xsrf_token_string
from support.serving import ROOT, Server, free_port, start_server
from support.visitor import Visitor
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from memviz.ui.server import attendance, connections, gate

SECRET = "a secret of this test that is long enough"
ORIGIN = "http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where visitors must sign in."""
    folder, port = tmp_path_factory.mktemp("shut"), free_port()
    (folder / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "{ORIGIN.format(port=port)}/oauth2callback"\ncookie_secret = "{SECRET}"\n'
        'client_id = "x"\nclient_secret = "y"\nserver_metadata_url = "http://127.0.0.1:9/none"\n'
    )
    env = {"MEMVIZ_CACHE": str(folder / "cache"), "STREAMLIT_SECRETS_FILES": str(folder / "secrets.toml")}
    with start_server(ROOT / "app.py", port, env | {"MEMVIZ_WARM_UP": "false"}, folder / "log") as server:
        yield server


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=20) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except urllib.error.URLError as error:  # it hung up while it was still being sent to
        return 0, str(error)


def cookies(server: Server, user: dict[str, Any], secret: str = SECRET) -> tuple[str, str]:
    """What a browser sends after sign-in, and the token that its socket says."""
    token = generate_xsrf_token_string()
    signed = create_signed_value(secret, "_streamlit_user", json.dumps(user)).decode()
    return f"_streamlit_user={signed}; _streamlit_xsrf={token}", token


def user(server: Server) -> dict[str, Any]:
    return {"origin": server.url, "is_logged_in": True, "email": "anna@example.org"}


def files(server: Server) -> dict[str, int]:
    cache = Path(server.environment["MEMVIZ_CACHE"])
    return {str(path): path.stat().st_mtime_ns for path in cache.rglob("*") if path.name != "ready"}


def test_a_stranger_reaches_the_way_to_sign_in_and_changes_nothing(shut: Server) -> None:
    status, body = ask(shut.url + "/trace?run=0123456789abcdef")
    assert status == 401 and "This server is for those who sign in." in body and "early" not in body
    assert ask(shut.url + "/ready")[0] == 200
    before, memory = files(shut), psutil.Process(shut.process.pid).memory_info
    used, log = memory().rss, shut.log.read_bytes()
    for path in ("_stcore/health", "_stcore/host-config", "_stcore/metrics", "static/index.js", "early/trace.json"):
        assert ask(f"{shut.url}/{path}")[0] == 401, path
    big = bytes(60_000_000)
    for _ in range(3):
        assert ask(f"{shut.url}/_stcore/upload_file/a/b", "PUT", big)[0] in (0, 401)
    signs = [
        cookies(shut, user(shut), "another secret")[0],
        cookies(shut, user(shut) | {"is_logged_in": False})[0],
        cookies(shut, user(shut) | {"origin": "http://evil.example"})[0],
        "_streamlit_user=x",
    ]
    for cookie in (None, *signs):
        headers = {"Cookie": cookie} if cookie else {}
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws{shut.url[4:]}/_stcore/stream", origin=shut.url, additional_headers=headers).__enter__()  # type: ignore[arg-type]
    assert files(shut) == before and b"job" not in shut.log.read_bytes()[len(log) :]
    assert memory().rss - used < 20e6, "180 MB were sent"


def test_who_is_signed_in_uploads_little_and_ends_nothing_of_others(shut: Server) -> None:
    cookie, token = cookies(shut, user(shut))
    how: dict[str, Any] = {"origin": shut.url, "additional_headers": {"Cookie": cookie}}
    with Visitor(shut.url, "glossary", subprotocols=["streamlit", token], **how) as visitor:
        visitor.settle()
        assert "Sign out" in [button.label for button in visitor.all("button")] and not visitor.all("exception")
        assert ask(shut.url + "/_stcore/metrics", Cookie=cookie)[0] == 404
        assert ask(shut.url + "/_stcore/agent/interact", Cookie=cookie)[0] == 404
        assert ask(shut.url + "/trace", "POST", b"x", Cookie=cookie)[0] == 405
        assert json.loads(ask(shut.url + "/_stcore/host-config", Cookie=cookie)[1])["allowedOrigins"] == []
        place = f"{shut.url}/_stcore/upload_file/{visitor.session}"
        kinds = {"Cookie": cookie, "X-Xsrftoken": token, "Content-Type": "multipart/form-data; boundary=b"}

        def put(name: str, n_bytes: int) -> int:
            head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n'
            return ask(f"{place}/{name}", "PUT", head + bytes(n_bytes) + b"\r\n--b--\r\n", **kinds)[0]

        assert [put("big", 2_100_000), put("big", 60_000_000)] in ([413, 413], [413, 0])
        assert [put(str(n), 1_990_000) for n in range(gate.MOST_UPLOADS)] == [204] * gate.MOST_UPLOADS
        assert put("more", 10) == 429, "a body so short is sent before the answer comes"
        assert ask(f"{place}/0", "DELETE", **kinds)[0] == 204 and put("again", 10) == 204
        for field in ("clear_cache", "set_run_on_save", "load_git_info"):
            visitor.send(BackMsg(**{field: True}))  # type: ignore[arg-type]
        visitor.rerun()
        visitor.settle()  # it is still there


def test_idle_connections_keep_nobody_out(shut: Server) -> None:
    """A third more than there may be: whoever asks is answered, the log stays still, and later there is room again."""
    most = connections.MOST * 4 // 3
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections.WANTED_FILES:
        pytest.skip(f"this machine lets a process open {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most + 500), hard))
    n_bytes, place = shut.log.stat().st_size, ("127.0.0.1", int(shut.url.rpartition(":")[2]))
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(place, 10)) for _ in range(most)]
        assert ask(shut.url + "/ready")[0] == 200
        assert held[0].recv(1) == b"", "the first one went for a later one"
        assert len(psutil.Process(shut.process.pid).net_connections("tcp")) <= connections.MOST + 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ask(shut.url + "/ready")[0] == 200 and shut.log.stat().st_size - n_bytes < 1000


def test_a_secrets_file_that_cannot_be_read_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it asks for sign-in: tests/ui/common/test_sign_in.py."""
    monkeypatch.setattr(gate, "is_wanted", lambda: True)
    monkeypatch.setattr(gate.st.secrets, "load_if_toml_exists", lambda: False)
    sent: list[Message] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("nobody passes")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    run_apart(gate.Gate(inner)({"type": "http", "method": "GET", "path": "/trace", "headers": []}, receive, send))
    assert sent[0]["status"] == 401 and b"secrets.toml cannot be read, so nobody can sign in" in sent[1]["body"]


@pytest.mark.parametrize(
    ("message", "used"),
    [
        (BackMsg(stop_script=True), True),
        (BackMsg(app_heartbeat=True), True),
        (BackMsg(clear_cache=True), False),
        (BackMsg(debug_shutdown_runtime=True), False),
        (BackMsg(backend_operation_request={"install_skills": {}}), False),  # type: ignore[arg-type]
        (BackMsg(backend_operation_request={"dataframe_chunk": {}}), True),  # type: ignore[arg-type]
    ],
)
def test_which_messages_reach_streamlit(message: BackMsg, used: bool) -> None:
    assert gate.is_used(message.SerializeToString()) is used


@pytest.mark.parametrize("data", [None, b"", b"\x00", bytes(range(255, 191, -1))])
def test_what_is_no_message_closes_the_socket(data: bytes | None) -> None:
    assert not gate.is_used(data)


def run_apart(coroutine: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: where a browser is driven, this one has a loop that runs already."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()


class Streamlit:
    """Stands for it: holds sockets open until the test ends them, and notes what comes."""

    def __init__(self) -> None:
        self.open, self.got, self.end = 0, list[bytes](), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += 1
        while (message := await receive())["type"] == "websocket.receive":
            self.got.append(message["bytes"])
        self.open -= 1


def test_sockets_are_bounded_for_an_address_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "is_wanted", lambda: False)
    monkeypatch.setattr(attendance, "look", lambda: None)

    async def run() -> None:
        streamlit, sent = Streamlit(), list[Message]()
        door = gate.Gate(streamlit)

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            await streamlit.end.wait()
            return {"type": "websocket.disconnect"}

        def opened(address: str) -> asyncio.Task[None]:
            scope = {"type": "websocket", "path": "/_stcore/stream", "client": (address, 1), "headers": []}
            return asyncio.ensure_future(door(scope, receive, send))

        tasks = [opened("10.0.0.1") for _ in range(gate.MOST_OF_AN_ADDRESS + 1)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert streamlit.open == gate.MOST_OF_AN_ADDRESS and len(sent) == 1
        tasks += [opened("127.0.0.1") for _ in range(gate.MOST_SOCKETS)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert streamlit.open == gate.MOST_SOCKETS
        streamlit.end.set()
        await asyncio.gather(*tasks)
        streamlit.end.clear()
        again = opened("10.0.0.1")
        await asyncio.sleep(0)
        assert streamlit.open == 1, "there is room again"
        streamlit.end.set()
        await again

    run_apart(run())


def test_a_session_without_a_socket_leaves_and_its_uploads_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    files, left, there = MemoryUploadedFileManager("/upload"), list[str](), {"anna", "ben"}
    runtime = SimpleNamespace(uploaded_file_mgr=files, is_active_session=lambda session: session in there)
    monkeypatch.setattr(attendance, "Runtime", SimpleNamespace(instance=lambda: runtime))
    monkeypatch.setattr(attendance, "worker", lambda: SimpleNamespace(leave=left.append))
    monkeypatch.setattr(attendance, "settings", lambda: SimpleNamespace(grace=0.01))
    for session in sorted(there):
        attendance.know(session)
        files.add_file(session, UploadedFileRec("1", "a.txt", "text/plain", b"x"))

    async def run() -> None:
        there.remove("anna")
        attendance.look()
        assert "anna" in left and "ben" not in left and attendance.n_uploads("anna") == 1, "she may come back"
        await asyncio.sleep(0.05)
        assert [attendance.n_uploads(session) for session in ("anna", "ben")] == [0, 1]

    run_apart(run())
