/** Explanations of names: what a `<dfn title>` means, under the pointer and at the keyboard's focus. */
{
  const EXPLAINED = "dfn[title], .means[title]";
  const GAP = 8; // px from the edges of the window
  const box = document.createElement("div");
  box.id = "hint";
  box.hidden = true;
  box.setAttribute("role", "tooltip");
  document.body.append(box);
  let shown = null;

  const hide = () => {
    if (!shown) return;
    shown.title = box.textContent;
    shown.removeAttribute("aria-describedby");
    shown = null;
    box.hidden = true;
  };

  const show = (name) => {
    if (name === shown) return;
    hide();
    shown = name;
    box.textContent = name.title;
    name.removeAttribute("title"); // else the browser shows it as well
    name.setAttribute("aria-describedby", "hint");
    box.hidden = false;
    place();
  };

  const place = () => {
    if (!shown) return;
    const { left, top, bottom } = shown.getBoundingClientRect();
    const below = bottom + box.offsetHeight + GAP <= innerHeight;
    box.style.left = `${Math.max(GAP, Math.min(left, innerWidth - box.offsetWidth - GAP))}px`;
    box.style.top = `${below ? bottom : Math.max(0, top - box.offsetHeight)}px`;
  };

  document.addEventListener("pointerover", ({ target }) => {
    const name = target.closest(EXPLAINED);
    if (name) show(name);
    else if (shown !== document.activeElement && !box.contains(target) && !shown?.contains(target)) hide();
  });
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches(EXPLAINED)) show(target);
    else if (target !== shown) hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  addEventListener("scroll", place, { capture: true, passive: true });
}
