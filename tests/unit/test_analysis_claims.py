"""Verdicts on the claims, from handmade results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from sample_results import result_of

from gobun import matrix
from gobun.analysis.claims import CLAIMS, Check, Claim, CounterpartCheck, read_claims
from gobun.analysis.claims_render import claims_markdown, print_claims
from gobun.analysis.claims_verdict import (
    Verdict,
    describe_cells,
    library_sizes,
    read_facts,
    verdicts,
    write_facts,
)
from gobun.cells import Cell, Result
from gobun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gobun.cells import Load, Outcome
    from gobun.treatments import TreatmentName


def result(
    version: str,
    *outcomes: Outcome,
    treatment: TreatmentName = "stock",
    module: str = "simple",
    load: Load = "napi-sync",
    stress: str = "idle",
    runtime: str = "bun",
) -> Result:
    cell = Cell(runtime, version, treatment, module, load, stress)
    return result_of(cell, *outcomes)


def run(results: Iterable[Result], os: str = "linux") -> matrix.Run:
    header = matrix.new_header([])
    host = msgspec.structs.replace(header.host, os=os)
    return matrix.Run(msgspec.structs.replace(header, host=host), tuple(results))


def verdict_of(claim: Claim, *results: Result, **facts: dict[str, float]) -> Verdict:
    named = {name.replace("_", "-"): numbers for name, numbers in facts.items()}
    return verdicts(run(results), facts=named, claims={"C0": claim})[0]


def claim_with(rule: str, *outcomes: Outcome) -> Claim:
    return Claim("text", check=(Check("it is so", rule, outcomes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "ends", "verdict"),
    [
        ("always", "ppp", "reproduced"),
        ("always", "pph", "refuted"),
        ("mostly", "ppp", "reproduced"),
        ("mostly", "pph", "partly"),
        ("mostly", "hhh", "refuted"),
        ("somewhere", "hhp", "reproduced"),
        ("somewhere", "hhh", "refuted"),
        ("always", "", "no data"),
        ("always", "sse", "no data"),
        ("always", "psp", "reproduced"),
    ],
)
def test_claims_rules_give_their_verdicts(rule: str, ends: str, verdict: str) -> None:
    words: dict[str, Outcome] = {"p": "pass", "h": "hang", "s": "skip", "e": "error"}
    results = [result(f"1.0.{patch}", words[end]) for patch, end in enumerate(ends)]
    assert verdict_of(claim_with(rule, "pass"), *results).verdict == verdict


def test_claims_count_every_attempt() -> None:
    mixed = result("1.0.0", "hang", "pass", "pass")
    assert verdict_of(claim_with("always", "pass"), mixed).verdict == "refuted"
    assert verdict_of(claim_with("always", "pass", "hang"), mixed).verdict == "reproduced"
    assert verdict_of(claim_with("somewhere", "hang"), mixed).verdict == "reproduced"
    assert "1 hang/pass" in verdict_of(claim_with("somewhere", "hang"), mixed).reason


def test_claims_compare_a_cell_with_its_counterpart() -> None:
    counterpart = CounterpartCheck(outcomes=("hang",), treatment="stock")
    check = Check("it helps", "always", ("pass",), treatments=("warmup",), given=counterpart)
    claim = Claim("text", check=(check,))
    results = [
        result("1.0.0", "pass"),
        result("1.0.0", "hang", treatment="warmup"),  # not asked: stock passes
        result("1.0.1", "hang"),
        result("1.0.1", "pass", treatment="warmup"),
        result("1.0.2", "pass", treatment="warmup"),  # not asked: stock was not run
    ]
    verdict = verdict_of(claim, *results)
    assert (verdict.verdict, verdict.supporting) == (
        "reproduced",
        ("bun@1.0.1/warmup/simple/napi-sync/idle",),
    )
    assert verdict_of(claim, *results[:2]).verdict == "no data"


def test_claims_selectors_accept_patterns_and_ranges() -> None:
    check = Check(
        "so", "always", ("pass",), treatments=("gc-signal:2*",), versions=">=1.2.2", runtime="bun"
    )
    claim = Claim("text", check=(check,))
    verdict = verdict_of(
        claim,
        result("1.2.2", "pass", treatment="gc-signal:20"),
        result("1.2.2", "hang", treatment="gc-signal:12"),
        result("1.2.1", "hang", treatment="gc-signal:20"),
        result("24.0.0", "hang", treatment="gc-signal:20", runtime="node"),
    )
    assert (verdict.verdict, len(verdict.supporting)) == ("reproduced", 1)


def test_claims_unknown_parts_never_make_a_claim_true() -> None:
    true, false = Check("a", "always", ("pass",)), Check("b", "always", ("hang",))
    absent = Check("c", "always", ("pass",), stresses=("gc",))
    elsewhere = Check("d", "always", ("pass",), os="darwin")
    passing = result("1.0.0", "pass")
    for checks, verdict in (
        ((true, true), "reproduced"),
        ((false, false), "refuted"),
        ((true, false), "partly"),
        ((true, absent), "partly"),
        ((false, absent), "refuted"),
        ((absent, elsewhere), "no data"),
        ((elsewhere,), "not testable here"),
    ):
        assert verdict_of(Claim("text", check=checks), passing).verdict == verdict, verdict


def test_claims_facts_are_compared_with_bounds() -> None:
    claim = Claim("text", check=(Check("so", "mostly", fact="library-bytes", between=(1.0, 2.0)),))
    assert verdict_of(claim).verdict == "no data"
    verdict = verdict_of(claim, library_bytes={"linux-x64": 1.5, "darwin-x64": 3.0})
    assert (verdict.verdict, verdict.supporting, verdict.opposing) == (
        "partly",
        ("linux-x64: 1.5",),
        ("darwin-x64: 3",),
    )


def test_claims_somewhere_is_not_opposed_by_other_facts() -> None:
    check = Check("so", "somewhere", fact="library-bytes", between=(1.0, 2.0))
    verdict = verdict_of(
        Claim("text", check=(check,)), library_bytes={"linux-x64": 1.5, "darwin-x64": 3.0}
    )
    assert (verdict.verdict, verdict.opposing) == ("reproduced", ())


def test_claims_sizes_come_from_a_manifest(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with pytest.raises(UsageError, match="cannot read"):
        library_sizes(path)
    path.write_text(
        '{"libraries": [{"target": "linux-x64", "size": 7, "file": "x", "go": "1.27.3"},'
        ' {"target": "linux-x64", "size": 9, "file": "without-go", "go": ""}]}'
    )
    assert library_sizes(path) == {"library-bytes": {"linux-x64": 7.0}}
    path.write_text("[]")
    with pytest.raises(UsageError, match="is no manifest"):
        library_sizes(path)


def test_claims_measured_numbers_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    with pytest.raises(UsageError, match="cannot read"):
        read_facts(path)
    write_facts(path, {"warmup-ms": {"bun@1.4.5": 1.5}})
    [claim] = [
        verdict for verdict in verdicts(run([]), facts=read_facts(path)) if verdict.id == "C4"
    ]
    assert (claim.verdict, claim.supporting) == ("reproduced", ("bun@1.4.5: 1.5",))
    path.write_text('{"warmup-ms": 1}')
    with pytest.raises(UsageError, match="no measured numbers"):
        read_facts(path)


def test_claims_published_library_settles_the_buffer_claim() -> None:
    def verdict(*ends: Outcome) -> str:
        cells = zip(("idle", "cobhan"), ends, strict=True)
        results = [
            result("1.4.5", end, module="libasherah", load="ffi", stress=stress)
            for stress, end in cells
        ]
        return {each.id: each.verdict for each in verdicts(run(results))}["C10"]

    assert verdict("pass", "pass") == "reproduced"
    assert verdict("pass", "fail") == "refuted"
    assert verdict("hang", "hang") == "no data"


def test_claims_all_eighteen_have_verdicts() -> None:
    assert list(read_claims()) == [f"C{number}" for number in range(1, 19)]
    treatments: tuple[TreatmentName, ...] = ("stock", "warmup-plain")
    loads: tuple[Load, ...] = ("ffi", "napi-sync", "napi-async")
    states: dict[str, Outcome] = {"1.2.1": "pass", "1.2.19": "hang", "1.2.20": "pass"}
    results = [
        result(version, end, treatment=treatment, module=module, load=load)
        for version, state in states.items()
        for treatment in treatments
        for module in ("control", "simple", "crypto", "setup-full")
        for load in loads
        for end in ["pass" if module == "control" and treatment == "stock" else state]
    ]
    nodes = [result("24.1.0", "pass", runtime="node", module="crypto")]
    sizes = {"library-bytes": {"linux-x64": 1278576.0}}
    by_claim = {v.id: v.verdict for v in verdicts(run([*results, *nodes]), facts=sizes)}
    assert by_claim == {
        "C1": "not testable here",
        "C2": "refuted",
        "C3": "refuted",
        "C4": "no data",
        "C5": "partly",
        "C6": "reproduced",
        "C7": "partly",
        "C8": "partly",
        "C9": "no data",
        "C10": "no data",
        **dict.fromkeys(["C11", "C12", "C14", "C15", "C16"], "no data"),
        "C13": "refuted",
        "C17": "refuted",
        "C18": "refuted",
    }
    on_mac = verdicts(run([result("1.2.19", "crash", module="crypto")], "darwin"))
    assert on_mac[0].verdict == "reproduced"


def test_claims_emulated_patches_settle_two() -> None:
    ends: tuple[tuple[str, Outcome], ...] = (("1.2.19", "hang"), ("1.3.14", "pass"))
    alike: tuple[TreatmentName, ...] = ("stock", "preload:stack8m", "preload:sigmask")
    results = [
        result(version, end, treatment=treatment) for treatment in alike for version, end in ends
    ]
    # A cell that the guard cures does not count for the patches.
    results.append(result("1.2.19", "pass", treatment="preload:stack8m+sigmask+suspend"))
    by_claim = {verdict.id: verdict for verdict in verdicts(run(results))}
    for name in ("C11", "C12"):
        assert by_claim[name].verdict == "refuted"
        assert "0 of 1 cells" in by_claim[name].reason


def test_claims_of_a_patch_ignore_builds_with_the_cure() -> None:
    """The control is the build without patches."""
    builds = {
        "1.0.4+self-built": (),
        "1.0.4+patched": ("pool-stacks", "suspend-any-stack"),
        "1.0.4+patched.0a": ("pool-stacks", "early-warmup"),
        "1.0.4+patched.0b": ("suspend-any-stack",),
    }
    ends: dict[str, Outcome] = {"1.0.4+self-built": "hang", "1.0.4+patched.0a": "hang"}
    results = [
        result(version, ends.get(version, "pass"), treatment="patched" if patches else "self-built")
        for version, patches in builds.items()
    ]
    base_run = run(results)
    header = msgspec.structs.replace(base_run.header, patches=builds)
    by_claim = {
        each.id: each for each in verdicts(msgspec.structs.replace(base_run, header=header))
    }
    assert (by_claim["C11"].verdict, by_claim["C12"].verdict) == ("refuted", "no data")
    assert by_claim["C11"].opposing == ("bun@1.0.4+patched.0a/patched/simple/napi-sync/idle",)
    assert len(by_claim["C16"].supporting) == 2


def test_claims_verdicts_are_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    claim = Claim("a | b", applies="Bun", note="mind", check=(Check("so", "mostly", ("pass",)),))
    results = [result(f"1.0.{patch}", "hang" if patch else "pass") for patch in range(6)]
    verdict = verdict_of(claim, *results)
    text = claims_markdown([verdict])
    row = (
        "| C0 | a \\| b (Bun) | **partly** | so: 1 of 6 cells (5 hang, 1 pass; not on 5 versions"
        " from bun 1.0.1 to bun 1.0.5); mind. |"
    )
    assert text.splitlines()[2] == row
    cell = "bun@1.0.{}/stock/simple/napi-sync/idle".format
    assert text.splitlines()[4] == (
        f"- C0: for: {cell(0)}; against: {cell(1)}, {cell(2)}, {cell(3)} and 2 more"
    )
    assert describe_cells(verdict_of(claim)) == ""
    print_claims([verdict])
    shown = capsys.readouterr().out
    assert "partly" in shown
    assert "a | b" in shown


START = '[claim.C1]\ntext = "t"\n'
CHECK = START + '[[claim.C1.check]]\nsays = "s"\nrule = "always"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[claim", r"mine\.toml is not TOML"),
        ('[claims.C1]\ntext = "t"', r"mine\.toml: the file has an unknown key 'claims'"),
        (START + 'txt = "u"\nuntestable = "x"', r"\[claim\.C1\] has an unknown key 'txt'"),
        (START, r"\[claim\.C1\] needs either checks or a reason"),
        (CHECK + 'supports = ["pass"]\n[claim.C2]\ntext = "t"', r"\[claim\.C2\] needs either"),
        (
            CHECK.replace('"t"\n', '"t"\nuntestable = "x"\n') + 'supports = ["pass"]',
            r"\[claim\.C1\] needs either",
        ),
        (CHECK, r"row 1 of \[\[claim\.C1\.check\]\]: `supports` is missing"),
        (
            CHECK + 'supports = ["passes"]',
            r"supports of row 1 of \[\[claim\.C1\.check\]\], item 1: invalid enum value 'passes'",
        ),
        (
            CHECK + 'supports = ["pass"]\nstress = "idle"',
            r"row 1 of \[\[claim\.C1\.check\]\] has an unknown key 'stress'",
        ),
        (CHECK.replace("always", "often") + 'supports = ["pass"]', r"rule of row 1 .*'often'"),
        (CHECK + 'supports = ["pass"]\nstresses = ["idel"]', r"`stresses` in .*row 1 .*'idel'"),
        (CHECK + 'supports = ["pass"]\nmodules = []', r"modules = \[\] selects no cell"),
        (CHECK + 'supports = ["pass"]\nruntime = "bnu"', r"runtime in .*C1.*'bnu'"),
        (CHECK + 'supports = ["pass"]\nversions = "1.x"', r"versions = '1\.x' is not a range"),
        (CHECK + 'supports = ["pass"]\nversions = ">2.0.0 <1.0.0"', r"no version matches"),
        (
            CHECK + 'supports = ["pass"]\ngiven = {outcomes = ["hang"]}',
            r"row 1 .*`given` has the same value",
        ),
        (
            CHECK + 'supports = ["pass"]\ngiven = {outcomes = [], treatment = "stock"}',
            r"`given\.outcomes` is empty",
        ),
        (
            CHECK + 'supports = ["pass"]\ngiven = {outcomes = ["hang"], treatment = "stok"}',
            r"`given\.treatment` in .*'stok'",
        ),
        (CHECK + 'fact = "size"', r"`fact` needs `between`"),
        (CHECK + 'supports = ["pass"]\nbetween = [1.0, 2.0]', r"`between` is only for `fact`"),
        (CHECK + 'fact = "size"\nbetween = [2.0, 1.0]', r"between = \[2\.0, 1\.0\] holds nothing"),
        (
            CHECK + 'fact = "size"\nbetween = [1.0, 2.0]\nruntime = "bun"',
            r"`fact` is not a cell",
        ),
    ],
)
def test_claims_malformed_file_names_table_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_claims(path)
    assert "mine.toml" in caught.value.what


def test_claims_may_refer_to_planned_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = CHECK + 'supports = ["pass"]\nstresses = ["boil"]\n'
    path.write_text(text)
    with pytest.raises(UsageError, match="'boil'"):
        read_claims(path)
    path.write_text(text + '[planned]\nstresses = ["boil"]\n')
    assert read_claims(path)["C1"].check[0].stresses == ("boil",)
    with pytest.raises(UsageError, match="cannot read"):
        read_claims(tmp_path / "absent.toml")
    assert CLAIMS.is_file()
