// Draws every plot of a page. Bundled with vega-embed, whose name is in scope. No text is ever turned into code: Vega's
// expressions are interpreted, so that a page may forbid everything but this very script.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const onDark = __ON_DARK__;

function recoloured(value) {
  if (typeof value === "string") return onDark[value] ?? value;
  if (Array.isArray(value)) return value.map(recoloured);
  if (value && typeof value === "object") {
    // Data keep their texts, whatever they are.
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, key === "datasets" || key === "values" ? one : recoloured(one)])
    );
  }
  return value;
}

const ground = { background: "transparent" };
const light = { ...ground };
const night = { ...ground, ...__NIGHT__ };

// night: in the colours for a dark ground.
async function draw(script, atNight) {
  const place = document.getElementById(`${script.id}-plot`);
  const spec = JSON.parse(script.textContent);
  const options = {
    ast: true,
    actions: false,
    renderer: "svg",
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
    config: atNight ? night : light,
  };
  try {
    await vegaEmbed(place, atNight ? recoloured(spec) : spec, options);
  } catch (error) {
    place.textContent = `This plot cannot be drawn here (${error.message}); its figures are in the table below.`;
  }
}

function drawAll(atNight) {
  document.querySelectorAll('script[type="application/json"].plot').forEach((script) => draw(script, atNight));
}

const asSeen = () => drawAll(dark.matches);
dark.addEventListener("change", asSeen);
// Paper is never dark.
window.addEventListener("beforeprint", () => { if (dark.matches) drawAll(false); });
window.addEventListener("afterprint", () => { if (dark.matches) drawAll(true); });
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", asSeen);
else asSeen();
