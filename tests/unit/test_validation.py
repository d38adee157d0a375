"""Input validation: class-validator's sentences, every one that applies, and no conversion of types."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_meet.auth.routes import Login, Registration
from neuron_meet.chat.routes import Page
from neuron_meet.rest.problems import HttpError
from neuron_meet.rest.rules import Name, Text
from neuron_meet.rest.validation import Input, decode_body, decode_query
from neuron_meet.rooms.routes import NewRoom, SettingsChange
from neuron_meet.users.routes import ProfileChange

GOOD = {"email": "ada@example.com", "password": "correct horse", "displayName": "Ada"}


def violations(model: type[Input], body: dict[str, Any]) -> list[str]:
    with pytest.raises(HttpError) as caught:
        decode_body(model, body)
    assert caught.value.status == 400
    assert isinstance(caught.value.message, list)
    return caught.value.message


PASSWORD_TYPE = [
    "password must be shorter than or equal to 100 characters",
    "password must be longer than or equal to 8 characters",
    "password must be a string",
]
NAME_TYPE = [
    "displayName must be shorter than or equal to 50 characters",
    "displayName must be longer than or equal to 2 characters",
    "displayName must be a string",
]


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"email": "nope"}, ["email must be an email"]),
        ({"email": "a@localhost"}, ["email must be an email"]),
        ({"email": " ada@example.com"}, ["email must be an email"]),
        ({"email": "ada@example.com\0"}, ["email must be an email"]),
        ({"email": "\ud800@example.com"}, ["email must be an email"]),
        ({"email": f"ada@{'x' * 250}.com"}, ["email must be an email"]),
        ({"email": ["ada@example.com"]}, ["email must be an email"]),
        ({"email": None}, ["email must be an email"]),
        ({"password": "short"}, ["password must be longer than or equal to 8 characters"]),
        (
            {"password": "x" * 101},
            [
                "password must be shorter than or equal to 100 characters",
                "password must not be longer than 72 bytes in UTF-8",
            ],
        ),
        ({"password": "x" * 73}, ["password must not be longer than 72 bytes in UTF-8"]),
        ({"password": "🐴" * 19}, ["password must not be longer than 72 bytes in UTF-8"]),
        ({"password": 12345678}, PASSWORD_TYPE),
        ({"password": None}, PASSWORD_TYPE),
        ({"password": "12345678\0"}, ["password must not contain NUL characters"]),
        ({"password": "12345678\udc00"}, ["password must be well-formed Unicode text"]),
        ({"displayName": "A"}, ["displayName must be longer than or equal to 2 characters"]),
        ({"displayName": "  A  "}, ["displayName must be longer than or equal to 2 characters"]),
        (
            {"displayName": "\u200d\u200d \u200c"},
            ["displayName must be longer than or equal to 2 characters"],
        ),
        ({"displayName": "\u202e\u200b\x07"}, ["displayName must be longer than or equal to 2 characters"]),
        ({"displayName": "x" * 51}, ["displayName must be shorter than or equal to 50 characters"]),
        ({"displayName": {}}, NAME_TYPE),
        ({"displayName": "A\0da"}, ["displayName must not contain NUL characters"]),
        ({"foo": 1}, ["property foo should not exist"]),
        ({"display_name": "Ada"}, ["property display_name should not exist"]),
        ({"__proto__": {}}, ["property __proto__ should not exist"]),
    ],
)
def test_one_wrong_field(changes: dict[str, Any], sentences: list[str]) -> None:
    assert violations(Registration, GOOD | changes) == sentences


def test_every_violation_is_listed_in_order() -> None:
    assert violations(Registration, {"isAdmin": True, "role": "host"}) == [
        "property isAdmin should not exist",
        "property role should not exist",
        "email must be an email",
        *PASSWORD_TYPE,
        *NAME_TYPE,
    ]


def test_a_long_property_name_is_not_sent_back_whole() -> None:
    assert violations(NewRoom, {"x" * 90_000: 1}) == [f"property {'x' * 100} should not exist"]


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com",
        "ADA@Example.COM",
        "a.b+c_d@sub.example.co.uk",
        "o'neill@example.org",
        "ada@office.local",
        "ada@example.test",
        "jörg@exämple.de",
    ],
)
def test_good_addresses(email: str) -> None:
    assert decode_body(Registration, GOOD | {"email": email}).email == email


def test_names_are_tidied_before_they_are_measured() -> None:
    body = GOOD | {"displayName": " \u202eAda\t \n Love\u200blace\x07 "}
    assert decode_body(Registration, body).display_name == "Ada Lovelace"
    for name in ("\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e"):  # a family; a Persian word
        assert decode_body(Registration, GOOD | {"displayName": name}).display_name == name
    assert decode_body(NewRoom, {"name": " x ".ljust(300)}).name == "x"


def test_seventy_two_bytes_are_a_good_password() -> None:
    assert decode_body(Registration, GOOD | {"password": "x" * 72}).password == "x" * 72
    assert decode_body(Registration, GOOD | {"password": "🐴" * 18}).password == "🐴" * 18


MOST = "maxParticipants must not be greater than 100"
LEAST = "maxParticipants must not be less than 2"
INTEGER = "maxParticipants must be an integer number"


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ({"maxParticipants": 101}, [MOST]),
        ({"maxParticipants": 1}, [LEAST]),
        ({"maxParticipants": 2.5}, [INTEGER]),
        ({"maxParticipants": 1e300}, [MOST]),
        ({"maxParticipants": 10**40}, [MOST]),
        ({"maxParticipants": "5"}, [MOST, LEAST, INTEGER]),
        ({"maxParticipants": True}, [MOST, LEAST, INTEGER]),
        ({"maxParticipants": []}, [MOST, LEAST, INTEGER]),
        ({"waitingRoom": "true"}, ["waitingRoom must be a boolean value"]),
        ({"waitingRoom": 1}, ["waitingRoom must be a boolean value"]),
        ({"name": ""}, ["name must be longer than or equal to 1 characters"]),
        ({"name": "   "}, ["name must be longer than or equal to 1 characters"]),
        ({"name": "x" * 101}, ["name must be shorter than or equal to 100 characters"]),
        (
            {"name": 1, "waitingRoom": 0, "maxParticipants": 0},
            [
                "name must be shorter than or equal to 100 characters",
                "name must be longer than or equal to 1 characters",
                "name must be a string",
                "waitingRoom must be a boolean value",
                LEAST,
            ],
        ),
    ],
)
def test_a_wrong_room(body: dict[str, Any], sentences: list[str]) -> None:
    assert violations(NewRoom, body) == sentences


def test_defaults_and_null() -> None:
    expected = NewRoom(name="Meeting Room", waiting_room=False, max_participants=50)
    assert decode_body(NewRoom, {}) == expected
    assert decode_body(NewRoom, {"name": None, "waitingRoom": None, "maxParticipants": None}) == expected
    assert decode_body(NewRoom, {"maxParticipants": 5.0}).max_participants == 5


def test_what_was_given_can_be_told_from_what_was_not() -> None:
    assert decode_body(SettingsChange, {"allowChat": False, "isLocked": None}).model_fields_set == {
        "allow_chat"
    }
    assert decode_body(ProfileChange, {"displayName": None}).model_fields_set == set()
    assert decode_body(ProfileChange, {"avatarUrl": None}).model_fields_set == {"avatar_url"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/me.png",
        "//example.com/me.png",
        "javascript:alert(1)",
        "data:image/png;base64,AA==",
        "ftp://example.com/me.png",
        "https://",
        "https:example.com",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\nx",
        "https://user:secret@example.com/me.png",
        'https://example.com/"onerror=',
        "https://example.com:99999/",
        "https://[::1",
        "https://example.com/\0",
        "https://example.com/\ud800",
    ],
)
def test_urls_that_are_no_pictures_address(url: str) -> None:
    assert violations(ProfileChange, {"avatarUrl": url}) == ["avatarUrl must be a URL address"]


def test_urls() -> None:
    for url in ("https://example.com/me.png", "HTTP://localhost:3000/a?b=c#d", "https://exämple.com/ü.png"):
        assert decode_body(ProfileChange, {"avatarUrl": url}).avatar_url == url
    too_long = "avatarUrl must be shorter than or equal to 2048 characters"
    assert violations(ProfileChange, {"avatarUrl": "https://example.com/" + "x" * 2048}) == [too_long]
    assert violations(ProfileChange, {"avatarUrl": 7}) == [too_long, "avatarUrl must be a URL address"]


@pytest.mark.parametrize(
    "email", ["", "ada", "@", "ada@", "@example.com", "a@b\0", "\ud800@b", 7, None, "x" * 251 + "@b.c"]
)
def test_login_asks_for_something_like_an_address(email: object) -> None:
    assert violations(Login, {"email": email, "password": "x"}) == ["email must be an email"]


def test_login_takes_addresses_that_registration_does_not() -> None:
    assert decode_body(Login, {"email": "ada@intranet", "password": ""}).email == "ada@intranet"


def test_queries_are_text_and_may_hold_more() -> None:
    assert decode_query(Page, {"limit": "7", "before": "c1", "_": "123"}) == Page(limit=7, before="c1")
    assert decode_query(Page, {}) == Page()
    for text in ("seven", "", "1_0", "٧", "9" * 5000, "1.5"):
        with pytest.raises(HttpError) as caught:
            decode_query(Page, {"limit": text})
        assert caught.value.message == [
            "limit must not be greater than 200",
            "limit must not be less than 1",
            "limit must be an integer number",
        ]


def test_the_declarations_describe_themselves_in_json_schema() -> None:
    schema = Registration.model_json_schema(by_alias=True)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["email", "password", "displayName"]
    assert schema["properties"]["password"] == {
        "minLength": 8,
        "maxLength": 100,
        "type": "string",
        "title": "Password",
    }
    assert SettingsChange.model_json_schema()["properties"]["maxParticipants"]["maximum"] == 100


TEXT = st.text(st.characters())  # lone surrogates and NUL included


class Anything(Input):
    text: Annotated[str, Text(1, 10)]
    name: Annotated[str, Name(1, 10)] = "x"


@given(
    st.dictionaries(
        TEXT | st.sampled_from(["text", "name"]),
        st.recursive(st.none() | st.booleans() | st.floats() | TEXT, st.lists, max_leaves=4),
        max_size=4,
    )
)
def test_any_body_is_accepted_or_refused_with_sentences(body: dict[str, Any]) -> None:
    try:
        accepted = decode_body(Anything, body)
    except HttpError as problem:
        assert problem.message
        assert all(isinstance(sentence, str) for sentence in problem.message)
    else:
        assert accepted.text.encode()
        assert 1 <= len(accepted.name) <= 10
