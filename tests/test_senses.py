"""Every modality is exact: against finite differences, ray casts and contact forces."""

from __future__ import annotations

import copy
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from nextstate.errors import RenderingError
from nextstate.worlds import WORLDS, World, make_world, render
from nextstate.worlds.render import CAMERA, focal_length, shared_renderer

ALL = pytest.mark.parametrize("name", WORLDS)
SIZE = 64


def instants(name: str, count: int, every: int = 4, seed: int = 2) -> World:
    """Instants of an exploratory episode, one after the other."""
    world = make_world(name, SIZE)
    world.reset(seed=seed)
    policy = world.explore(np.random.default_rng(seed))
    for step in range(count * every):
        world.advance_action(policy(world))
        if step % every == every - 1:
            yield world


def camera_axes(world: World) -> np.ndarray:
    """Columns: right, down and forward of the main camera in the world's frame."""
    frame = world.data.cam_xmat[world.model.camera(CAMERA).id].reshape(3, 3)
    return frame * np.array([1.0, -1.0, -1.0])


def rays(world: World) -> np.ndarray:
    """World directions ``(H, W, 3)`` through the pixels' middles, one metre long along the optical axis."""
    offsets = (np.arange(SIZE) + 0.5 - SIZE / 2) / focal_length(world.model, SIZE)
    x, y = np.meshgrid(offsets, offsets)
    return np.stack([x, y, np.ones_like(x)], axis=-1) @ camera_axes(world).T


@ALL
def test_depth_is_what_rays_measure(name: str) -> None:
    for world in instants(name, 2):
        directions = rays(world).reshape(-1, 3)
        lengths = np.linalg.norm(directions, axis=1)
        seen, distance = np.empty(SIZE**2, np.int32), np.empty(SIZE**2)
        origin = world.data.cam_xpos[world.model.camera(CAMERA).id]
        groups = np.array([1, 1, 1, 0, 0, 0], np.uint8)
        unit = (directions / lengths[:, None]).ravel()
        mujoco.mj_multiRay(world.model, world.data, origin, unit, groups, True, -1, seen, distance, None, SIZE**2, 10.0)
        depth, geoms = shared_renderer(SIZE).segment(world.model, world.data)
        assert np.array_equal(depth, world.observe(["depth"])["depth"])
        same = (geoms == seen.reshape(SIZE, SIZE)) & (geoms >= 0)
        assert same.mean() > 0.97  # Outlines of drawn shapes may differ by a pixel.
        error = np.abs(depth - (distance / lengths).reshape(SIZE, SIZE))[same]
        assert np.percentile(error, 99) < 0.002 and error.max() < 0.02


@ALL
def test_motion_is_the_velocity_of_the_points_seen(name: str) -> None:
    moved = 0
    tiny = 1e-6
    for world in instants(name, 4):
        motion = world.observe(["motion"])["motion"].astype(np.float64)
        depth, geoms = shared_renderer(SIZE).segment(world.model, world.data)
        rows, columns = np.nonzero(geoms >= 0)
        body = world.model.geom_bodyid[geoms[rows, columns]]
        points = world.data.cam_xpos[world.model.camera(CAMERA).id] + rays(world)[rows, columns] * depth[
            rows, columns, None
        ].astype(np.float64)
        frames = world.data.xmat.reshape(-1, 3, 3)[body]
        fixed = np.einsum("nji,nj->ni", frames, points - world.data.xpos[body])
        later = copy.copy(world.data)
        mujoco.mj_integratePos(world.model, later.qpos, later.qvel, tiny)
        mujoco.mj_kinematics(world.model, later)
        after = np.einsum("nij,nj->ni", later.xmat.reshape(-1, 3, 3)[body], fixed) + later.xpos[body]
        truth = (after - points) / tiny @ camera_axes(world)
        assert np.abs(motion[rows, columns] - truth).max() < 1e-3 + 1e-3 * np.abs(truth).max()
        moved += int((np.linalg.norm(truth, axis=1) > 0.02).sum())
    assert moved > 20


@ALL
def test_motion_foretells_where_points_go(name: str) -> None:
    """The same against physics itself, one tiny step on, where no impact changes velocities in between."""
    tiny = 1e-6
    for world in instants(name, 2, every=7):
        before = world.data.xpos.copy()
        _, geoms = shared_renderer(SIZE).segment(world.model, world.data)
        motion = world.observe(["motion"])["motion"]
        later, step = copy.copy(world.data), world.model.opt.timestep
        world.model.opt.timestep = tiny
        mujoco.mj_step(world.model, later)
        mujoco.mj_kinematics(world.model, later)
        world.model.opt.timestep = step
        speed = np.linalg.norm(later.xpos - before, axis=1) / tiny
        resting = np.isin(world.model.geom_bodyid, np.nonzero(speed < 1e-4)[0])
        spin = np.abs(world.data.cvel[world.model.geom_bodyid, :3]).max(axis=1)
        still = (geoms >= 0) & (resting & (spin < 1e-4))[geoms]
        assert still.any() and np.abs(motion[still]).max() < 1e-3


@ALL
def test_touch_adds_up_to_the_contact_forces(name: str) -> None:
    felt = 0.0
    wrench = np.zeros(6)
    for seed in range(12):
        for world in instants(name, 10, seed=seed):
            skin = {world.model.geom(geom).id for geom in world.skin}
            total = 0.0
            for index in range(world.data.ncon):
                pressed = len(skin & set(world.data.contact.geom[index].tolist()))
                mujoco.mj_contactForce(world.model, world.data, index, wrench)
                total += pressed * wrench[0]
            touch = world.observe(["touch"])["touch"]
            assert touch.shape == world.touch_shape and touch.min() >= 0
            assert touch.sum() == pytest.approx(total, rel=1e-4, abs=1e-4)
            felt = max(felt, total)
        if felt > 0.1:
            return
    raise AssertionError("nothing was touched")


def test_a_heavier_rougher_disc_pushes_back_harder() -> None:
    """Pushed steadily, a disc presses on the pusher with its friction: mu m g."""
    for mass, friction in ((0.2, 0.4), (0.8, 0.4), (0.8, 0.7)):
        world = make_world("push", modalities=["touch"])
        alone = {f"object{slot}_present": float(slot == 0) for slot in range(4)}
        disc = {"object0_box": 0, "object0_mass": mass, "object0_friction": friction, "object0_x": 0, "object0_y": 0}
        world.reset(seed=0, options={"factors": {**alone, **disc, "pusher_x": -0.15, "pusher_y": 0.0}})
        forces = [world.step(np.array([0.4, 0.0]))[0]["touch"].sum() for _ in range(20)]
        assert np.mean(forces[-10:]) == pytest.approx(friction * mass * 9.81, rel=0.2)


def test_without_egl_pictures_come_from_osmesa() -> None:
    program = (
        "import warnings; from nextstate.worlds import make_world, render\n"
        "working = render._open_backend\n"
        "def broken(backend, size):\n"
        "    if backend == 'egl': raise RuntimeError('no such device')\n"
        "    return working(backend, size)\n"
        "render._open_backend = broken\n"
        "with warnings.catch_warnings(record=True) as notes:\n"
        "    warnings.simplefilter('always')\n"
        "    print(make_world('push').reset(seed=0)[0]['rgb'].std() > 5, *(note.message for note in notes))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True") and "egl: no such device" in done.stdout and "with OSMESA" in done.stdout


def test_without_any_backend_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(backend: str, size: int) -> None:
        raise OSError(f"lib{backend} is missing")

    monkeypatch.setattr(render, "_open_backend", broken)
    with pytest.raises(RenderingError, match=r"apt-get install .*libosmesa6.*libegl is missing"):
        render.open_gl(64)
