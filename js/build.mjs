// Builds the two bundles that live widgets and HTML snapshots share. `--watch` serves demo.html and
// rebuilds on change, `--tests` builds tests/*.test.ts for `node --test`.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const GZIP_LIMIT = 60_000; // every widget instance sends the bundle again, so it has to stay small
const OUT = "../mechviz/static";

// Preact's distributed files carry no legal comment, and its licence has to travel with the bundle.
const licence = readFileSync("node_modules/preact/LICENSE", "utf8").trim();
const banner = `/*! mechviz's views (Apache-2.0). Holds Preact:\n${licence}\n*/`;

const common = { bundle: true, format: "esm", target: "es2022", jsx: "automatic", jsxImportSource: "preact" };
const bundle = {
  ...common,
  entryPoints: [
    { in: "src/widget.tsx", out: "widget" },
    { in: "src/style.css", out: "widget" },
    { in: "src/probes.tsx", out: "probes" },
    { in: "src/probes.css", out: "probes" },
  ],
  outdir: OUT,
  minify: true,
  legalComments: "inline",
  charset: "utf8",
  banner: { js: banner },
};

async function build() {
  await esbuild.build({ ...bundle, logLevel: "warning" });
  for (const name of ["widget.js", "widget.css", "probes.js", "probes.css"]) {
    const bytes = readFileSync(`${OUT}/${name}`);
    const zipped = gzipSync(bytes, { level: 9 }).length;
    console.log(`${name}  ${(bytes.length / 1000).toFixed(1)} kB, ${(zipped / 1000).toFixed(1)} kB gzip`);
    if (zipped > GZIP_LIMIT) throw new Error(`${name} is over the limit of ${GZIP_LIMIT} bytes gzipped`);
  }
}

async function buildTests() {
  const tests = readdirSync("tests").filter((name) => name.endsWith(".test.ts"));
  await esbuild.build({
    ...common,
    entryPoints: tests.map((name) => `tests/${name}`),
    outdir: "dist-tests",
    platform: "node",
    logLevel: "warning",
  });
}

async function serve() {
  const context = await esbuild.context({ ...bundle, minify: false, write: false, logLevel: "info" });
  await context.watch();
  const { port } = await context.serve({ servedir: "..", host: "127.0.0.1" });
  console.log(`http://127.0.0.1:${port}/js/demo.html`);
}

const mode = process.argv[2];
await (mode === "--watch" ? serve() : mode === "--tests" ? buildTests() : build());
