"""Whatever stands in the place of an id, a number or a page, the answer is no fault of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.api.ids import NUMBER_MAX, PAGE_MAX
from tests.support.api_reading import HISTORY, error_in, whole_api

BY_ID = (
    "/v1/items/{}",
    "/v1/items/{}/content",
    "/v1/items/{}/proof",
    "/v1/reports/{}",
    "/v1/reports/{}/body",
    "/v1/reports/{}/bundle",
    "/v1/certificates/{}",
    "/v1/encoders/{}",
)
BY_KEY = (
    "/v1/encoders?after={}",
    "/v1/validators?after={}",
    "/v1/peers?after={}",
    "/v1/evidence?offender={}",
)
BY_NUMBER = (
    "/v1/rounds/{}",
    "/v1/rounds?before={}",
    "/v1/epochs/{}",
    "/v1/epochs?before={}",
    "/v1/epochs/{}/record",
    "/v1/epochs/{}/encoders",
    "/v1/epochs/{}/means",
    "/v1/epochs/{}/moments",
    "/v1/disputes?before={}",
    "/v1/disputes?round={}",
    "/v1/evidence?before={}",
)
PAGED = ("rounds", "epochs", "encoders", "validators", "peers", "evidence", "disputes")
KNOWN = HISTORY.facts[0].header.digest.hex()
NEARLY_ID = st.one_of(
    st.text(max_size=80),
    st.text("0123456789abcdefABCDEF", min_size=62, max_size=66),
    # Digits elsewhere in Unicode, which a careless pattern takes for hex.
    st.text("0123456789\u0660\u0661\uff10\uff21", min_size=64, max_size=64),
    st.builds(
        lambda n, mark: KNOWN[:n] + mark + KNOWN[n:], st.integers(0, 64), st.sampled_from("\n\r\0 x/.")
    ),
)
NEARLY_NUMBER = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=30),
    st.sampled_from(["1e9", "0x1", "\u0661", "9" * 99]),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with whole_api(tmp_path_factory.mktemp("home")) as client:
        yield client


@given(path=st.sampled_from(BY_ID + BY_KEY), text=NEARLY_ID)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_id__of_any_text_is_answered_or_refused_by_its_name(api: TestClient, path: str, text: str) -> None:
    answered = api.get(path.format(quote(text, safe="", errors="replace")))
    if answered.status_code == 200:
        assert re.fullmatch("[0-9a-fA-F]{64}", text) or path in ("/v1/encoders?after={}",)
        return
    error = error_in(answered, answered.status_code)
    # What holds a slash, or nothing at all, is another address.
    if answered.status_code == 400:
        assert error["type"] == "invalid_request_error"
        assert error["param"] in ("item_id", "digest", "key", "after", "offender")
    else:
        assert answered.status_code == 404, error


@given(path=st.sampled_from(BY_NUMBER), text=NEARLY_NUMBER)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_number__of_any_text_is_answered_or_refused(api: TestClient, path: str, text: str) -> None:
    answered = api.get(path.format(quote(text, safe="", errors="replace")))
    assert answered.status_code in (200, 400, 404), answered.text
    if answered.status_code != 200:
        error_in(answered, answered.status_code)


@pytest.mark.parametrize("path", BY_NUMBER)
@pytest.mark.parametrize("number", [NUMBER_MAX + 1, 1 << 64, -1])
def test_number__that_no_table_holds_is_refused(api: TestClient, path: str, number: int) -> None:
    assert error_in(api.get(path.format(number)), 400)["param"] in ("number", "before", "round")


@pytest.mark.parametrize("path", BY_NUMBER)
def test_number__that_is_the_largest_is_looked_up(api: TestClient, path: str) -> None:
    assert api.get(path.format(NUMBER_MAX)).status_code in (200, 404)


@pytest.mark.parametrize("path", PAGED)
@pytest.mark.parametrize("limit", [0, -1, PAGE_MAX + 1, 10**9])
def test_page__of_another_size_is_refused(api: TestClient, path: str, limit: int) -> None:
    assert error_in(api.get(f"/v1/{path}?limit={limit}"), 400)["param"] == "limit"
