// The explorer's canvas: draws the pictures that the kernel sends, and tells it what is asked for.
const [FRAME_MS, MOST_PX] = [100, 600]; // of a frame while playing; of its height on the page
const KEYS =
  "Space: play or pause. Left, right: frame. Shift and arrows: move the cross, Enter: look at it. " +
  "+, -: zoom, 0: all of it. [ and ]: swipe.";
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function make(parent, tag, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

function slider(parent, text, name, max, step, value, changed) {
  const line = make(parent, "label", { class: "line" });
  make(line, "span", {}, text);
  const input = make(line, "input", { type: "range", min: 0, max, step, "aria-label": name });
  input.value = value;
  input.addEventListener("input", () => changed(Number(input.value)));
  return input;
}

function button(parent, text, name, pressed) {
  const made = make(parent, "button", { type: "button", "aria-label": name, title: name }, text);
  made.addEventListener("click", pressed);
  return made;
}

// Pictures of one frame, decoded; of several on their way the one that was sent last wins.
class Pictures {
  constructor() {
    Object.assign(this, { frame: -1, size: [1, 1], sides: { left: {}, right: {} }, sent: 0 });
  }

  async take(sent) {
    const [turn, sides] = [++this.sent, { left: {}, right: {} }];
    await Promise.all(Object.keys(sides).flatMap((side) =>
      Object.entries(sent[side] ?? {}).map(async ([name, bytes]) => {
        sides[side][name] = await createImageBitmap(new Blob([bytes]));
      })));
    if (turn !== this.sent) return false;
    Object.values(this.sides).flatMap(Object.values).forEach((bitmap) => bitmap.close());
    Object.assign(this, { frame: sent.frame, size: sent.size, sides });
    return true;
  }
}

function drawTimeline(canvas, curves, frames, frame) {
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const dots = devicePixelRatio;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * dots));
  canvas.height = Math.round(canvas.clientHeight * dots);
  const [pen, step, rows] = [canvas.getContext("2d"), canvas.width / frames, canvas.height];
  const most = (...lists) => Math.max(...lists.flatMap((list) => list ?? []), 1e-9);
  const bars = (values, highest, from, height, fill) => {
    pen.fillStyle = colour(fill);
    (values ?? []).forEach((value, i) =>
      pen.fillRect(i * step, from * rows, Math.max(step - 1, 1), (height * rows * value) / highest));
  };
  const scores = ["base_miou", "base_boundary", "miou", "boundary"];
  const known = scores.flatMap((name) => curves[name] ?? []).filter((value) => value !== null);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 100];
  for (const name of scores) {
    const values = curves[name] ?? [];
    pen.strokeStyle = colour(name.startsWith("base") ? "neutral" : "better");
    pen.lineWidth = 1.5 * dots;
    pen.setLineDash(name.endsWith("boundary") ? [4 * dots, 3 * dots] : []);
    pen.beginPath();
    values.forEach((value, i) => {
      const y = rows * (0.53 - (0.48 * (value - low)) / Math.max(high - low, 1e-9));
      if (value !== null) pen[values[i - 1] == null ? "moveTo" : "lineTo"]((i + 0.5) * step, y);
    });
    pen.stroke();
  }
  bars(curves.changed, most(curves.changed), 0.74, -0.17, "changed");
  bars(curves.births, most(curves.births, curves.deaths), 0.88, -0.12, "better");
  bars(curves.deaths, most(curves.births, curves.deaths), 0.88, 0.12, "worse");
  pen.fillStyle = colour("ink");
  pen.fillRect((frame + 0.5) * step - dots, 0, 2 * dots, rows);
  pen.font = `${11 * dots}px sans-serif`;
  for (const [value, y] of known.length ? [[high, 12 * dots], [low, 0.55 * rows]] : [])
    pen.fillText(`${value.toFixed(1)} %`, 3 * dots, y);
}

function mark(pen, x, y) {
  for (const [colour, width] of [["black", 4], ["white", 2]]) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    pen.beginPath();
    pen.arc(x, y, 8, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const swipeBy = (step) => set("swipe", clamp(get("swipe") + step, 0, 1));
  const go = (frame) => set("frame", clamp(frame, 0, get("frames") - 1));
  const pictures = new Pictures();
  const view = { zoom: 1, x: 0, y: 0 }; // zoom over "all of it", and its corner in the picture
  const cross = { x: 0, y: 0, seen: false };
  let [playing, askedAt, drag, hoveredAt] = [false, 0, null, 0];

  const root = make(el, "div", { class: "sam2vss", "data-lm-suppress-shortcuts": "true" });
  const bar = make(root, "div", { class: "bar", role: "toolbar", "aria-label": "Player" });
  const play = button(bar, "▶", "Play", () => setPlaying(!playing));
  button(bar, "‹", "Previous frame", () => go(get("frame") - 1));
  button(bar, "›", "Next frame", () => go(get("frame") + 1));
  const seek = slider(bar, "Frame", "Frame", 1, 1, 0, go);
  const counter = make(bar, "output", { class: "counter" });
  button(bar, "−", "Zoom out", () => zoomBy(1 / 1.25));
  button(bar, "+", "Zoom in", () => zoomBy(1.25));
  button(bar, "⤢", "Show all of the frame", () => zoomBy(0));
  const middle = make(root, "div", { class: "middle" });
  const stage = make(middle, "div", { class: "stage" });
  const canvas = make(stage, "canvas", {
    tabindex: 0, role: "application", "aria-label": `Frame with layers. ${KEYS}`, title: KEYS,
  });
  const [names, hint] = ["names", "hint"].map((name) => make(stage, "div", { class: name }));
  const panel = make(middle, "div", { class: "panel" });
  const list = make(panel, "div", { role: "group", "aria-label": "Layers, the upper ones first" });
  const swipe = slider(panel, "Swipe", "Swipe", 1, 0.01, 1, (value) => set("swipe", value));
  const info = make(panel, "div", {
    class: "info", tabindex: 0, role: "region", "aria-label": "Picked pixel", "aria-live": "polite",
  });
  const legend = make(root, "div", { class: "legend" });
  const line = make(root, "canvas", {
    class: "timeline", tabindex: 0, role: "slider", "aria-label": "Timeline of the clip",
  });
  const status = make(root, "div", { class: "status", role: "status" });

  function setPlaying(on) {
    playing = on;
    play.textContent = on ? "❚❚" : "▶";
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    if (!on) return;
    askedAt = performance.now();
    go((get("frame") + 1) % get("frames"));
  }

  function listLayers() {
    const focused = list.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
    const layers = get("layers");
    list.replaceChildren();
    [...layers.keys()].reverse().forEach((place) => {
      const { title, opacity } = layers[place];
      const row = make(list, "div", { class: "layer" });
      slider(row, title, `${title}: opacity`, 1, 0.05, opacity, (value) =>
        set("layers", get("layers").map((l, i) => (i === place ? { ...l, opacity: value } : l))));
      for (const [sign, word, to] of [["↑", "up", place + 1], ["↓", "down", place - 1]]) {
        button(row, sign, `${title}: move ${word}`, () => {
          const moved = [...get("layers")];
          [moved[place], moved[to]] = [moved[to], moved[place]];
          set("layers", moved);
          listLayers();
        }).disabled = to < 0 || to >= layers.length;
      }
    });
    if (focused) [...list.querySelectorAll("[aria-label]")].find((one) => one.ariaLabel === focused).focus();
  }

  const scale = () => (canvas.width / pictures.size[1]) * view.zoom;
  function pixelAt(event) {
    const per = canvas.width / canvas.clientWidth / scale();
    const at = [view.x + event.offsetX * per, view.y + event.offsetY * per];
    return at.map((value, axis) => clamp(Math.floor(value), 0, pictures.size[1 - axis] - 1));
  }

  function draw() {
    const [height, width] = pictures.size;
    stage.style.maxWidth = `${(MOST_PX * width) / height}px`;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    canvas.height = Math.max(1, Math.round((canvas.width * height) / width));
    view.x = clamp(view.x, 0, width - width / view.zoom);
    view.y = clamp(view.y, 0, height - height / view.zoom);
    const pen = canvas.getContext("2d");
    const parted = Math.round(canvas.width * get("swipe"));
    for (const [side, from, to] of [["left", 0, parted], ["right", parted, canvas.width]]) {
      pen.save();
      pen.beginPath();
      pen.rect(from, 0, to - from, canvas.height);
      pen.clip();
      pen.imageSmoothingEnabled = false;
      pen.setTransform(scale(), 0, 0, scale(), -view.x * scale(), -view.y * scale());
      for (const { name, opacity } of [{ name: "frame", opacity: 1 }, ...get("layers")]) {
        pen.globalAlpha = opacity;
        if (pictures.sides[side][name]) pen.drawImage(pictures.sides[side][name], 0, 0);
      }
      pen.restore();
    }
    pen.fillStyle = "white";
    if (parted < canvas.width) pen.fillRect(parted - 1, 0, 3, canvas.height);
    for (const [x, y] of [get("pixel"), cross.seen ? [cross.x, cross.y] : []])
      if (x !== undefined) mark(pen, (x + 0.5 - view.x) * scale(), (y + 0.5 - view.y) * scale());
    names.replaceChildren();
    get("names").forEach((name) => make(names, "span", {}, name));
  }

  function zoomBy(factor, at = [0.5, 0.5]) {
    const before = view.zoom;
    view.zoom = factor ? clamp(before * factor, 1, 32) : 1;
    view.x += at[0] * pictures.size[1] * (1 / before - 1 / view.zoom);
    view.y += at[1] * pictures.size[0] * (1 / before - 1 / view.zoom);
    draw();
  }

  function tell() {
    const [frame, frames] = [get("frame"), get("frames")];
    seek.max = frames - 1;
    seek.value = frame;
    counter.textContent = `${frame + 1} / ${frames}`;
    Object.assign(line, { ariaValueMin: 1, ariaValueMax: frames, ariaValueNow: frame + 1 });
    hint.textContent = get("hint");
    status.textContent = get("status");
    const asked = get("info") || "Click a pixel to see its masklets, votes and history.";
    if (info.dataset.html !== asked) info.innerHTML = info.dataset.html = asked;
    legend.innerHTML = get("curves").legend ?? "";
    swipe.value = get("swipe");
    drawTimeline(line, get("curves"), frames, frame);
  }

  async function arrive() {
    if (!(await pictures.take(get("pictures")))) return;
    draw();
    root.dataset.frame = pictures.frame;
    if (playing && pictures.frame === get("frame"))
      setTimeout(() => playing && setPlaying(true), Math.max(0, askedAt + FRAME_MS - performance.now()));
  }

  // A click picks a pixel, dragging pans, the wheel zooms.
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, from: { ...view }, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      const per = canvas.width / canvas.clientWidth / scale();
      drag.moved ||= Math.hypot(dx, dy) > 3;
      if (drag.moved) Object.assign(view, { x: drag.from.x - dx * per, y: drag.from.y - dy * per });
      draw();
    } else if (performance.now() - hoveredAt > FRAME_MS) {
      hoveredAt = performance.now();
      set("hover", pixelAt(event));
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) set("pixel", ([cross.x, cross.y] = pixelAt(event)));
    drag = null;
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey && view.zoom === 1) return; // the page scrolls
    event.preventDefault();
    const at = [event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight];
    zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, at);
  }, { passive: false });
  line.addEventListener("click", (event) => go(Math.floor((event.offsetX / line.clientWidth) * get("frames"))));

  function moveCross(dx, dy) {
    const reach = Math.max(1, Math.round(8 / view.zoom));
    const [x, y] = [cross.x + dx * reach, cross.y + dy * reach];
    Object.assign(cross, { x: clamp(x, 0, pictures.size[1] - 1), y: clamp(y, 0, pictures.size[0] - 1), seen: true });
    set("hover", [cross.x, cross.y]);
    draw();
  }
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = {
    " ": () => setPlaying(!playing), "+": () => zoomBy(1.25), "-": () => zoomBy(1 / 1.25), 0: () => zoomBy(0),
    "[": () => swipeBy(-0.05), "]": () => swipeBy(0.05),
    Enter: () => set("pixel", [cross.x, cross.y]),
    ArrowLeft: () => go(get("frame") - 1), ArrowRight: () => go(get("frame") + 1),
  };
  root.addEventListener("keydown", (event) => {
    const action = event.shiftKey && steps[event.key] ? () => moveCross(...steps[event.key]) : keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, button")) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });

  // ipywidgets gives the handles of its sliders no name
  const nameHandles = () => root.closest(".widget-vbox")?.querySelectorAll(".widget-slider").forEach((one) =>
    one.querySelector("[role=slider]")?.setAttribute("aria-label", one.querySelector("label").textContent));

  const watch = new ResizeObserver(() => (draw(), tell(), nameHandles()));
  watch.observe(canvas);
  const heard = [[arrive, "pictures"], [draw, "layers", "swipe", "pixel", "names"],
    [tell, "frame", "frames", "hint", "info", "curves", "status", "swipe"]];
  for (const [act, ...said] of heard) said.forEach((name) => model.on(`change:${name}`, act));
  for (const act of [listLayers, tell, arrive]) act();
  return () => ((playing = false), watch.disconnect());
}

export default { render };
