"""Drawing a MuJoCo scene: colour, depth and the velocity of every visible surface point, in two passes."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from collections.abc import Collection
from functools import cache
from typing import Any

# Pictures this small are drawn faster without handing tiles to other threads, and recording fills all cores anyway.
os.environ.setdefault("LP_NUM_THREADS", "0")

import mujoco
import numpy as np

from nextstate.errors import RenderingError

CAMERA = "main"
MAX_GEOMS = 2000
MESH_QUALITY = (28, 8, 1)
"""Most slices and stacks of round shapes, and quads of flat ones, that are worth drawing at these sizes."""


class SceneRenderer:
    """Draws the camera named ``main`` of any scene at one size, without shadows, reflections or multisampling.

    One OpenGL context serves every scene of a process, since scenes here hold no meshes or textures.

    Args:
        size: height and width of the pictures in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._gl = open_gl(size)
        # Left to the end of the interpreter, drivers are gone before what they have to free.
        atexit.register(self.close)
        self._contexts: dict[tuple[int, int, int], Any] = {}
        self._context: Any = None
        self._rect = mujoco.MjrRect(0, 0, size, size)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._scene: Any = None
        self._model: Any = None
        self._table_key: tuple[int, bytes] = (0, b"")
        self._table = np.empty(0, np.int32)
        self._pixels = np.arange(size, dtype=np.float64) + 0.5 - size / 2

    def render(self, model: mujoco.MjModel, data: mujoco.MjData, wanted: Collection[str]) -> dict[str, np.ndarray]:
        """The pictures among rgb ``(H, W, 3)``, depth ``(H, W)`` and motion ``(H, W, 3)`` that are wanted."""
        self._update(model, data)
        pictures: dict[str, np.ndarray] = {}
        if "rgb" in wanted:
            pictures["rgb"] = self._read_colour()
        if "depth" in wanted or "motion" in wanted:
            depth, geoms = self._read_geometry(model)
            if "depth" in wanted:
                pictures["depth"] = depth
            if "motion" in wanted:
                pictures["motion"] = self._surface_velocity(model, data, depth, geoms)
        return pictures

    def segment(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """Depth ``(H, W)`` in metres and the id of the geom seen at each pixel ``(H, W)``, -1 for none."""
        self._update(model, data)
        return self._read_geometry(model)

    def close(self) -> None:
        """Frees what the driver holds; the renderer cannot be used afterwards."""
        self._gl.make_current()
        self._scene = self._context = None
        self._contexts.clear()
        self._gl.free()

    def _update(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._gl.make_current()
        if self._model is not model:
            self._model = model
            self._table_key = (0, b"")
            self._context = self._context_for(model)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
            self._scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                self._scene.flags[flag] = False
            self._camera.fixedcamid = model.camera(CAMERA).id
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )

    def _context_for(self, model: mujoco.MjModel) -> Any:
        wish = model.vis.quality
        quality = tuple(map(min, (wish.numslices, wish.numstacks, wish.numquads), MESH_QUALITY))
        if quality not in self._contexts:
            # A scene of primitives needs nothing uploaded, so one bare plane makes a context for all of them.
            blank = mujoco.MjModel.from_xml_string(
                f'<mujoco><visual><global offwidth="{self.size}" offheight="{self.size}"/>'
                f'<quality offsamples="0" shadowsize="0" numslices="{quality[0]}" numstacks="{quality[1]}" '
                f'numquads="{quality[2]}"/></visual>'
                '<worldbody><geom type="plane" size="1 1 .1"/></worldbody></mujoco>'
            )
            context = mujoco.MjrContext(blank, mujoco.mjtFontScale.mjFONTSCALE_50.value)
            context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
            self._contexts[quality] = context
        return self._contexts[quality]

    def _read_colour(self) -> np.ndarray:
        pixels = np.empty((self.size, self.size, 3), np.uint8)
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, None, self._rect, self._context)
        return pixels[::-1].copy()

    def _read_geometry(self, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
        flags = self._scene.flags
        codes = np.empty((self.size, self.size, 3), np.uint8)
        buffer = np.empty((self.size, self.size), np.float32)
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(codes, buffer, self._rect, self._context)
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = False
        table = self._geom_table(model)
        code = codes[::-1, :, 0].astype(np.int32)
        if len(table) > 256:
            code += (codes[::-1, :, 1].astype(np.int32) << 8) + (codes[::-1, :, 2].astype(np.int32) << 16)
        # Reversed depth: 1 at the near plane, 0 at the far one, hyperbolic between.
        near, far = (float(np.float32(v * model.stat.extent)) for v in (model.vis.map.znear, model.vis.map.zfar))
        depth = near * far / (near + buffer[::-1].astype(np.float64) * (far - near))
        return depth.astype(np.float32), table[code]

    def _geom_table(self, model: mujoco.MjModel) -> np.ndarray:
        # What is drawn, and in which order, changes only when shapes appear, vanish or become invisible.
        key = (self._scene.ngeom, (model.geom_rgba[:, 3] > 0).tobytes())
        if key != self._table_key:
            self._table_key = key
            self._table = np.full(self._scene.ngeom + 1, -1, np.int32)
            for geom in self._scene.geoms[: self._scene.ngeom]:
                if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                    self._table[geom.segid + 1] = geom.objid
        return self._table

    def _surface_velocity(
        self, model: mujoco.MjModel, data: mujoco.MjData, depth: np.ndarray, geoms: np.ndarray
    ) -> np.ndarray:
        velocity = np.zeros((self.size, self.size, 3), np.float32)
        moving = np.append(model.body_weldid[model.geom_bodyid] != 0, False)
        rows, columns = np.nonzero(moving[geoms])
        if rows.size == 0:
            return velocity
        body = model.geom_bodyid[geoms[rows, columns]]
        camera = self._camera.fixedcamid
        # MuJoCo's camera looks along -z with y up; ours is x right, y down, z forward.
        axes = data.cam_xmat[camera].reshape(3, 3) * np.array([1.0, -1.0, -1.0])
        # cvel is the spatial velocity at the centre of mass of the body's kinematic tree.
        spin, drift = data.cvel[:, :3] @ axes, data.cvel[:, 3:] @ axes
        centre = (data.subtree_com[model.body_rootid] - data.cam_xpos[camera]) @ axes
        z = depth[rows, columns].astype(np.float64)
        scale = z / focal_length(model, self.size)
        arm = np.stack([self._pixels[columns] * scale, self._pixels[rows] * scale, z], axis=-1) - centre[body]
        turn = spin[body]
        # The cross product of spin and arm, written out: numpy's own costs several times as much.
        velocity[rows, columns] = (
            drift[body] + turn[:, [1, 2, 0]] * arm[:, [2, 0, 1]] - turn[:, [2, 0, 1]] * arm[:, [1, 2, 0]]
        )
        return velocity


def focal_length(model: mujoco.MjModel, size: int) -> float:
    """Focal length in pixels of the main camera for square pictures of `size` pixels."""
    fovy = float(model.cam_fovy[model.camera(CAMERA).id])
    return size / 2 / float(np.tan(np.deg2rad(fovy) / 2))


@cache
def shared_renderer(size: int) -> SceneRenderer:
    """The process's renderer for one picture size."""
    return SceneRenderer(size)


def open_gl(size: int) -> Any:
    """An offscreen OpenGL context: EGL, else OSMesa with a note, else `RenderingError`.

    The environment variable ``MUJOCO_GL=osmesa`` asks for OSMesa first.
    """
    failures = []
    for backend in sorted(("egl", "osmesa"), key=lambda name: name != os.environ.get("MUJOCO_GL")):
        try:
            context = _open_backend(backend, size)
        except Exception as error:  # Backends fail in many ways: missing library, missing device, bad driver.
            failures.append(f"{backend}: {error}")
            # PyOpenGL keeps to the platform of its first import.
            for name in [name for name in sys.modules if name == "OpenGL" or name.startswith("OpenGL.")]:
                del sys.modules[name]
            continue
        if failures:
            warnings.warn(f"not available: {failures[0]}; drawing with {backend.upper()} instead.", stacklevel=2)
        return context
    raise RenderingError(
        "cannot draw: neither EGL nor OSMesa works here. On Debian or Ubuntu install them with "
        f"'apt-get install libegl1 libgl1-mesa-dri libosmesa6'. ({'; '.join(failures)})"
    )


def _open_backend(backend: str, size: int) -> Any:
    # MuJoCo and PyOpenGL look these up when they load the functions of a context.
    os.environ["MUJOCO_GL"] = os.environ["PYOPENGL_PLATFORM"] = backend
    if backend == "egl":
        from mujoco.egl import GLContext as Egl

        context = Egl(size, size)
    else:
        from mujoco.osmesa import GLContext as Osmesa

        context = Osmesa(size, size)
    context.make_current()
    return context
