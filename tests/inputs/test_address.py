"""The address of a database: what is kept and shown of it holds no password."""

import pytest

from gradline.errors import UsageError
from gradline.inputs.address import scheme_of, secrets, without_password

CLEAN = {
    "postgresql://ann@host:5432/shop": "postgresql://ann@host:5432/shop",
    "postgresql://ann:s3cret@host/shop": "postgresql://ann@host/shop",
    "postgres://ann:s3cret@one:1,two:2/shop?target_session_attrs=any": "postgres://ann@one:1,two:2/shop?target_session_attrs=any",
    "postgresql:///shop?user=ann&password=s3cret&sslmode=require": "postgresql:///shop?user=ann&sslmode=require",
    "postgresql://host/shop?sslpassword=s3cret&pass%77ord=s3cret": "postgresql://host/shop",
    "postgresql://ann:@host/shop": "postgresql://ann@host/shop",
    "sqlite:///a@b:c.db": "sqlite:///a@b:c.db",
}
UNWRITTEN = (
    "postgresql://ann:s3cret/more@host/shop",
    "postgresql://ann:s3cret@more@host/shop",
    "postgresql://ann:s3cret?more@host/shop",
    "postgresql://ann:s3cret:more@host/shop",
    "postgresql://ann:s3cret more@host/shop",
    "postgresql://host/shop?user=ann&password=s3cret@more",
)


@pytest.mark.parametrize(("url", "shown"), CLEAN.items())
def test_the_address_is_kept_without_its_password(url, shown):
    assert without_password(url) == shown
    assert without_password(shown) == shown
    scheme_of(url)


@pytest.mark.parametrize("url", UNWRITTEN)
def test_an_address_with_a_password_not_written_by_codes_is_refused_and_never_shown(url):
    with pytest.raises(UsageError) as refused:
        scheme_of(url)
    said = str(refused.value) + without_password(url)
    assert "s3cret" not in said
    assert "more" not in said


@pytest.mark.parametrize(
    "url", ["mysql://ann:s3cret@host/shop", "ann:s3cret@host", "host=h password=s3cret", "sqlite://u:s3cret@h", "", "://s3cret"]
)
def test_what_is_no_address_is_refused_and_never_shown(url):
    with pytest.raises(UsageError) as refused:
        scheme_of(url)
    assert "s3cret" not in str(refused.value)
    if "sqlite" not in url:
        assert "s3cret" not in without_password(url)


def test_the_secrets_of_an_address_are_as_written_and_as_meant():
    assert secrets("postgresql://ann:pass%20word@host/shop") == ["pass%20word", "pass word"]
    assert secrets("postgresql:///shop?password=s3cret") == ["s3cret"]
    assert secrets("postgresql://ann@host/shop") == []
