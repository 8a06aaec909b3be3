"use strict";
// What a shape of a chart says is shown at the pointer, and on the arrow keys.
{
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let shown = null;
  const hide = () => {
    if (shown) shown.classList.remove("on");
    shown = null;
    tip.hidden = true;
  };
  const show = (shape) => {
    if (shape === shown) return;
    hide();
    shown = shape;
    shape.classList.add("on");
    tip.textContent = shape.dataset.tip;
    tip.hidden = false;
    const box = shape.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    const left = box.left + box.width / 2 - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(4, Math.min(left, wide - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, box.top - tip.offsetHeight - 6)}px`;
  };
  for (const chart of document.querySelectorAll("svg.chart")) {
    const shapes = [...chart.querySelectorAll("title")].map((title) => {
      const shape = title.parentNode;
      shape.dataset.tip = title.textContent;
      title.remove();
      return shape;
    });
    chart.addEventListener("pointermove", (event) => event.target.dataset.tip ? show(event.target) : hide());
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (event.key === "Escape") hide();
      if (!step || !shapes.length) return;
      event.preventDefault();
      const at = shapes.indexOf(shown), last = shapes.length - 1;
      show(shapes[at < 0 ? (step > 0 ? 0 : last) : Math.max(0, Math.min(at + step, last))]);
    });
  }
  document.addEventListener("scroll", hide, {passive: true});
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
}
