"""Dockerfiles become instructions, or Docker's error with its line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfie.build import instructions as ins
from wharfie.build.errors import DockerfileError
from wharfie.build.reading import dockerfile, triggered
from wharfie.build.syntax import Line


def steps(text: str) -> list[ins.Instruction]:
    return dockerfile(text.encode()).stages[-1].steps


BAD = [
    ("", "the Dockerfile (Dockerfile) cannot be empty"),
    ("  \n\n", "the Dockerfile (Dockerfile) cannot be empty"),
    ("# only a comment\n", "file with no instructions"),
    ("RUN true", "dockerfile parse error on line 1: no build stage in current context"),
    ("ARG a=1\nRUN true", "dockerfile parse error on line 2: no build stage in current context"),
    ("FROM a\nFOO bar", "dockerfile parse error on line 2: unknown instruction: FOO"),
    ("FROM a\nRUM x", "dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?)"),
    ("FROM", "line 1: FROM requires either one or three arguments"),
    ("FROM a b", "line 1: FROM requires either one or three arguments"),
    ("FROM a as 1x", 'line 1: invalid name for build stage: "1x", name can\'t start with a number'),
    ("FROM a\nCOPY x", "line 2: COPY requires at least two arguments, but only one was provided."),
    ("FROM a\nCOPY", "line 2: COPY requires at least two arguments"),
    ("FROM a\nENV x", "line 2: ENV must have two arguments"),
    ("FROM a\nENV x=1 y", 'line 2: Syntax error - can\'t find = in "y". Must be of the form: name=value'),
    ("FROM a\nENV =1", "line 2: ENV names can not be blank"),
    ("FROM a\nENV", "line 2: ENV requires at least one argument"),
    ("FROM a\nRUN", "line 2: RUN requires at least one argument"),
    ("FROM a\nRUN --bad x", "line 2: unknown flag: --bad"),
    ("FROM a\nCOPY --form=x a b", "line 2: unknown flag: --form (did you mean from?)"),
    ("FROM a\nCOPY --from=x --from=y a b", "line 2: duplicate flag specified: from"),
    ("FROM a\nCOPY --link=maybe a b", "line 2: expecting boolean value for flag link, not: maybe"),
    ("FROM a\nRUN --mount=type=foo x", 'line 2: unsupported mount type "foo"'),
    ("FROM a\nRUN --mount=type=cache x", "line 2: cache mount requires a target"),
    ("FROM a\nRUN --mount=type=tmpfs,target=/a,id=x y", "line 2: unexpected key 'id' for mount type 'tmpfs'"),
    (
        "FROM a\nCOPY --from=$x a b",
        "line 2: variable expansion is not supported for --from, define a new stage",
    ),
    (
        "FROM a\nRUN --mount=from=$x,target=/m y",
        "line 2: 'from' doesn't support variable expansion, define alias stage instead",
    ),
    ("FROM a\nRUN --network=wild x", 'line 2: invalid network mode: "wild"'),
    ("FROM a\nRUN --security=none x", 'line 2: security "none" is not valid'),
    ("FROM a\nSHELL bash", "line 2: SHELL requires the arguments to be in JSON form"),
    (
        'FROM a\nCMD ["a", 1]',
        "line 2: when using JSON array syntax, arrays must be comprised of strings only",
    ),
    ("FROM a\nHEALTHCHECK FOO x", 'line 2: Unknown type "FOO" in HEALTHCHECK (try CMD)'),
    ("FROM a\nHEALTHCHECK CMD", "line 2: Missing command after HEALTHCHECK CMD"),
    ("FROM a\nHEALTHCHECK NONE x", "line 2: HEALTHCHECK NONE takes no arguments"),
    ("FROM a\nHEALTHCHECK --interval=1ns CMD x", 'line 2: Interval "interval" cannot be less than 1ms'),
    ("FROM a\nHEALTHCHECK --retries=-1 CMD x", "line 2: --retries cannot be negative (-1)"),
    (
        "FROM a\nHEALTHCHECK --retries=9999999999 CMD x",
        'line 2: strconv.ParseInt: parsing "9999999999": value',
    ),
    ("FROM a\nONBUILD ONBUILD RUN x", "line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ("FROM a\nONBUILD FROM b", "line 2: FROM isn't allowed as an ONBUILD trigger"),
    ("FROM a\nONBUILD MAINTAINER b", "line 2: MAINTAINER isn't allowed as an ONBUILD trigger"),
    ("FROM a\nUSER", "line 2: USER requires exactly one argument"),
    ("FROM a\nWORKDIR", "line 2: WORKDIR requires exactly one argument"),
    ("FROM a\nVOLUME", "line 2: VOLUME requires at least one argument"),
    ('FROM a\nVOLUME [""]', "line 2: VOLUME specified can not be an empty string"),
    ("FROM a\nEXPOSE", "line 2: EXPOSE requires at least one argument"),
    ("FROM a\nRUN <<EOF\nx\n", "unterminated heredoc"),
    ("# escape=x\nFROM a", "line 1: invalid ESCAPE 'x' does not match ` or \\"),
    ("# escape=`\n# escape=\\\nFROM a", "line 2: only one escape parser directive can be used"),
    ("FROM a\nARG", "line 2: ARG requires at least one argument"),
    ("FROM a\nENTRYPOINT", "line 2: ENTRYPOINT requires at least one argument"),
    ("FROM a\nRUN a\0b", "has a NUL byte in it"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_dockerfile_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        dockerfile(text.encode())
    assert message in str(caught.value)


def test_continued_lines_lose_their_escapes_comments_and_empty_lines() -> None:
    found = dockerfile(b"FROM a\nRUN one \\\n  # comment\n\n  two \\  \n  three\nRUN four\n")
    first, second = found.stages[0].steps
    assert isinstance(first, ins.Run)
    assert first.words == ["one   two   three"]
    assert (first.line.first, first.line.last) == (2, 6)
    assert second.line.first == 7
    assert found.gaps == [2]


def test_an_escaped_escape_at_the_end_continues_nothing() -> None:
    first, second = steps("FROM a\nRUN echo \\\\\nRUN b")
    assert isinstance(first, ins.Run)
    assert first.words == ["echo \\\\"]
    assert isinstance(second, ins.Run)


def test_the_escape_directive_changes_the_escape() -> None:
    (found,) = steps("# escape=`\nFROM a\nCOPY a `\n c:\\")
    assert isinstance(found, ins.Copy)
    assert (found.sources, found.destination) == (["a"], "c:\\")


def test_a_directive_after_a_comment_is_a_comment() -> None:
    assert dockerfile(b"# hello\n# escape=`\nFROM a").escape == "\\"


@pytest.mark.parametrize(
    ("text", "words", "shell"),
    [
        ("RUN echo hi", ["echo hi"], True),
        ('RUN ["echo", "hi"]', ["echo", "hi"], False),
        ("RUN ['echo']", ["['echo']"], True),
        ('RUN [ "a" ] && b', ['[ "a" ] && b'], True),
        ("CMD []", [], False),
        ("CMD", [], True),
    ],
)
def test_commands_have_two_forms(text: str, words: list[str], shell: bool) -> None:
    (found,) = steps(f"FROM a\n{text}")
    assert isinstance(found, ins.Command)
    assert (found.words, found.shell) == (words, shell)


def test_heredocs_belong_to_their_instruction() -> None:
    run, copy = steps("FROM a\nRUN <<-EOF cat\n\tone\n\t$x\n\tEOF\nCOPY <<A <<'B' /dir/\n1\nA\n$2\nB\n")
    assert isinstance(run, ins.Run)
    assert run.documents[0].content == "one\n$x\n"
    assert isinstance(copy, ins.Copy)
    assert [(part.name, part.content, part.expand) for part in copy.documents] == [
        ("A", "1\n", True),
        ("B", "$2\n", False),
    ]
    assert copy.sources == []
    assert copy.destination == "/dir/"


def test_a_command_that_begins_with_a_test_has_its_heredoc() -> None:
    [run] = steps("FROM a\nRUN [ -e /etc ] && cat <<EOF\nFOO\nEOF")
    assert isinstance(run, ins.Run)
    assert [(one.name, one.content) for one in run.documents] == [("EOF", "FOO\n")]


def test_what_is_not_utf8_stays_in_a_file_and_is_readable_elsewhere() -> None:
    text = b'FROM a\nLABEL a="J\xfcrgen"\nCOPY <<EOF /f\n\xfc\nEOF\nRUN <<EOF\n\xfc\nEOF\n'
    file = dockerfile(text + b"ONBUILD COPY <<E /f\n\xfc\nE\n")
    label, copy, run, trigger = file.stages[0].steps
    assert isinstance(label, ins.Labels)
    assert isinstance(copy, ins.Copy)
    assert isinstance(run, ins.Run)
    assert isinstance(trigger, ins.OnBuild)
    assert label.pairs == [("a", '"J\ufffdrgen"')]
    assert copy.documents[0].content == "\udcfc\n"
    assert run.documents[0].content == "\ufffd\n"
    assert trigger.expression == "COPY <<E /f\n\ufffd\nE"
    assert file.source[1] == 'LABEL a="J\ufffdrgen"'


def test_no_element_of_an_array_begins_a_heredoc() -> None:
    [run] = steps('FROM a\nRUN ["cat", "<<EOF", "a <<EOF"]')
    assert isinstance(run, ins.Run)
    assert (run.words, run.documents) == (["cat", "<<EOF", "a <<EOF"], [])


def test_words_of_a_health_check_may_be_parted_by_a_tab() -> None:
    [check] = steps("FROM a\nHEALTHCHECK CMD\tcurl x")
    assert isinstance(check, ins.Healthcheck)
    assert check.words == ["curl x"]


def test_a_secret_is_named_by_its_source_too() -> None:
    [run] = steps("FROM a\nRUN --mount=type=secret,source=token,target=/t x")
    assert isinstance(run, ins.Run)
    assert run.mounts[0].id == "token"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "line 3: ONBUILD : the Dockerfile (Dockerfile) cannot be empty"),
        ("RUN x\nRUN y", "line 3: ONBUILD RUN x\nRUN y: a trigger is a single instruction"),
        ("RUN cat <<EOF\nx", "line 3: ONBUILD RUN cat <<EOF\nx: "),
        ("RUM x", "line 3: unknown instruction: RUM"),
    ],
)
def test_a_bad_trigger_of_a_base_image_is_told_at_its_from(expression: str, message: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        triggered(expression, "\\", Line("FROM", "x", 3, 3))
    assert message in str(raised.value)


def test_variables_have_an_old_form() -> None:
    old, new = steps("FROM a\nENV key a b  c\nENV x=1 y='a b' z=\"$x\"")
    assert isinstance(old, ins.Env)
    assert old.pairs == [("key", "a b  c")]
    assert isinstance(new, ins.Env)
    assert new.pairs == [("x", "1"), ("y", "'a b'"), ("z", '"$x"')]


def test_flags_stand_before_the_arguments() -> None:
    (found,) = steps(
        "FROM a\nCOPY --from=0 --chown=1:2 --chmod=755 --link --parents --exclude=*.o --exclude=x a b /c/"
    )
    assert isinstance(found, ins.Copy)
    assert (found.origin, found.chown, found.chmod, found.link, found.parents) == (
        "0",
        "1:2",
        "755",
        True,
        True,
    )
    assert found.exclude == ["*.o", "x"]
    assert found.sources == ["a", "b"]


def test_mounts_have_defaults_by_their_kind() -> None:
    (found,) = steps(
        "FROM a\nRUN --mount=target=/src --mount=type=cache,dst=/c,sharing=locked,mode=0700 "
        "--mount=type=secret,id=k,env=KEY --mount=type=ssh --mount=type=tmpfs,target=/t,size=1m make"
    )
    assert isinstance(found, ins.Run)
    bind, cache, secret, ssh, tmpfs = found.mounts
    assert (bind.kind, bind.target, bind.readonly) == ("bind", "/src", True)
    assert (cache.sharing, cache.mode, cache.readonly) == ("locked", 0o700, False)
    assert (secret.id, secret.env) == ("k", "KEY")
    assert ssh.kind == "ssh"
    assert tmpfs.size == 1 << 20


def test_the_last_stage_of_a_name_counts() -> None:
    found = dockerfile(b"FROM a AS x\nFROM b AS X\nFROM c")
    stage = found.stage("X")
    assert stage is not None
    assert stage.index == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "ONBUILD", "HEALTHCHECK", "#"]
            ),
            st.text(alphabet="ab =\"'\\[]{}<>$-,/:EOF\n\t", max_size=30),
        ),
        max_size=6,
    )
)
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_dockerfile_or_an_error(lines: list[tuple[str, str]]) -> None:
    text = "FROM a\n" + "".join(f"{word} {rest}\n" for word, rest in lines)
    try:
        dockerfile(text.encode())
    except DockerfileError:
        return


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_dockerfile_or_an_error(data: bytes) -> None:
    try:
        dockerfile(data)
    except DockerfileError:
        return
