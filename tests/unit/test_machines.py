"""Each computer of the table gets the backend that stands there, for the reason that stands there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready import drm, gpus
from ansible.module_utils.colab_ready.backend import BACKENDS, Refusal, decide
from fixtures.machines import MACHINES, NATIVE_LINUX, Machine
from fixtures.sysfs_tree import Sysfs

# What the table says holds once every backend can be built.
ALL_BUILT = tuple(replace(backend, available_in_this_version=True) for backend in BACKENDS)
DECIDED = [machine for machine in MACHINES if machine.backend is not None]
REFUSED = [machine for machine in MACHINES if machine.backend is None]


def by_name(machine: Machine) -> str:
    return machine.name


def decision_of(machine: Machine, **other: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"backends": ALL_BUILT, "host": machine.host, **other}
    adapters = arguments.pop("adapters", machine.adapters)
    return decide(machine.wish, adapters, machine.why_unknown, machine.gpu, **arguments)


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_a_machine_gets_its_backend_and_the_reason(machine: Machine) -> None:
    decision = decision_of(machine)
    assert (decision["name"], decision["adapter"]) == (machine.backend, machine.adapter)
    said = [*decision["reasons"], *decision["cautions"]]
    assert any(machine.says in sentence for sentence in said), said
    assert machine.python in (None, decision["python"]["use"])


@pytest.mark.parametrize("machine", DECIDED, ids=by_name)
def test_every_other_backend_is_out_for_a_reason(machine: Machine) -> None:
    rejected = {entry["name"]: entry["why"] for entry in decision_of(machine)["rejected"]}
    assert sorted([*rejected, machine.backend or ""]) == sorted(backend.name for backend in BACKENDS)
    assert all(rejected.values())
    wrong = {name: rejected[name] for name, part in machine.rejects.items() if part not in rejected[name]}
    assert not wrong


@pytest.mark.parametrize("machine", [one for one in DECIDED if one.opt_in], ids=by_name)
def test_what_runs_only_on_request_is_hinted_at(machine: Machine) -> None:
    assert [hint["name"] for hint in decision_of(machine)["opt_in"]] == list(machine.opt_in)


@pytest.mark.parametrize("machine", REFUSED, ids=by_name)
def test_an_impossible_wish_is_refused_with_the_reason(machine: Machine) -> None:
    with pytest.raises(Refusal) as refusal:
        decision_of(machine)
    said = str(refusal.value)
    assert machine.says in said
    assert "Expected: " in said and "Do: " in said


@pytest.mark.parametrize("machine", [one for one in DECIDED if one.wish == "auto"], ids=by_name)
def test_this_version_takes_what_it_can_build_and_recommends_what_the_machine_could_have(machine: Machine) -> None:
    decision = decision_of(machine, backends=BACKENDS)
    assert (decision["name"], decision["adapter"]) == machine.this_version
    assert (decision["recommended"]["name"], decision["recommended"]["adapter"]) == (machine.backend, machine.adapter)
    assert decision["recommended"]["available"] is (machine.backend in ("cpu", "directml"))
    not_yet = [reason for reason in decision["reasons"] if "does not build" in reason]
    assert bool(not_yet) is (machine.backend != decision["name"])


def test_the_order_in_which_a_system_lists_its_adapters_decides_nothing() -> None:
    """But between two of the same kind and size."""
    for machine in DECIDED:
        if machine.gpu is None and machine.adapters:
            turned = decision_of(machine, adapters=list(reversed(machine.adapters)))
            assert (turned["name"], turned["adapter"]) == (machine.backend, machine.adapter), machine.name


@pytest.mark.parametrize("machine", [one for one in NATIVE_LINUX if one.adapters and one.backend], ids=by_name)
def test_a_native_machine_in_sysfs_is_decided_alike(machine: Machine, tmp_path: Path) -> None:
    tree = Sysfs(tmp_path / "sys")
    for adapter in machine.adapters or ():
        files = {"class": "0x030000", "subsystem_vendor": "0x1043", "subsystem_device": "0x0001"}
        for name, key in (("vendor", "vendor_id"), ("device", "device_id"), ("revision", "revision")):
            files[name] = f"0x{adapter[key]}"
        if adapter["vendor_id"] is None:
            tree.card(adapter["index"], tree.other(f"platform/gpu{adapter['index']}", "platform", driver=adapter["driver"]))
            continue
        if adapter["dedicated_bytes"] is not None:
            files["mem_info_vram_total"] = str(adapter["dedicated_bytes"])
        device = tree.pci(adapter["address"], files, driver=adapter["driver"])
        if adapter["driver"]:
            tree.card(adapter["index"], device)
    adapters, _ = drm.read_adapters(str(tree.root), [])
    decision = decision_of(machine, adapters=adapters)
    assert (decision["name"], decision["adapter"]) == (machine.backend, machine.adapter)


# --- the table itself -----------------------------------------------------------------------------------------------


def test_there_are_sixty_machines_and_each_has_a_name_of_its_own() -> None:
    assert len(MACHINES) >= 60
    assert not [name for name, times in Counter(machine.name for machine in MACHINES).items() if times > 1]


def test_every_family_of_gpus_is_in_some_machine() -> None:
    seen = {gpus.family_of(adapter) for machine in MACHINES for adapter in machine.adapters or ()}
    assert not [family.name for family in gpus.FAMILIES if family not in seen]
