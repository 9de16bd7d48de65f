// A mark in a picture that is dragged by mouse, finger or arrow keys.

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class Handle {
  // at: where it is, in the plot's units.  moved: is told where it goes.
  constructor(button, plot, at, moved) {
    Object.assign(this, { button, plot, at, moved, held: null });
    button.addEventListener("pointerdown", (event) => this.take(event));
    button.addEventListener("keydown", (event) => this.key(event));
  }

  axes() {
    const layout = this.plot._fullLayout;
    return layout?.xaxis && layout?.yaxis ? [layout.xaxis, layout.yaxis] : null;
  }

  place() {
    const axes = this.axes(), at = this.held ?? this.at();
    this.button.hidden = !axes || !at;
    if (!axes || !at) return;
    const [x, y] = axes;
    const left = Math.min(Math.max(x._offset + x.d2p(at[0]), x._offset), x._offset + x._length);
    const top = Math.min(Math.max(y._offset + y.d2p(at[1]), y._offset), y._offset + y._length);
    this.button.style.transform = `translate(${left}px, ${top}px)`;
  }

  take(event) {
    event.preventDefault();
    this.button.focus({ preventScroll: true });
    this.button.setPointerCapture(event.pointerId);
    const [x, y] = this.axes();
    const go = (e) => {
      const box = this.plot.getBoundingClientRect();
      const clamp = (v, length) => Math.min(Math.max(v, 0), length);
      this.held = [x.p2d(clamp(e.clientX - box.left - x._offset, x._length)), y.p2d(clamp(e.clientY - box.top - y._offset, y._length))];
      this.place();
      this.moved(this.held);
    };
    const end = () => {
      this.button.removeEventListener("pointermove", go);
      this.held = null;
      this.place();
    };
    this.button.addEventListener("pointermove", go);
    this.button.addEventListener("pointerup", end, { once: true });
    this.button.addEventListener("pointercancel", end, { once: true });
  }

  key(event) {
    const way = KEYS[event.key], axes = this.axes();
    if (!way || !axes) return;
    event.preventDefault();
    event.stopPropagation();
    const size = event.shiftKey ? 10 : 50;
    this.moved(this.at().map((v, i) => v + (way[i] * Math.abs(axes[i].range[1] - axes[i].range[0])) / size));
  }
}
