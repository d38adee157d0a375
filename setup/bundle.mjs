// The query-engine host with everything that it imports, in one file: node setup/bundle.mjs TARGET.
// Prints the names of the npm packages that are in it, as JSON.
import { build } from 'esbuild'

const { metafile } = await build({
  entryPoints: ['neuron_meet/store/engine/host.mjs'],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node20', // MIN_NODE_MAJOR in neuron_meet/store/node.py
  format: 'esm',
  // Packages that are CommonJS ask for Node.js' own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  external: ['pg-native'], // optional, and not installed
  legalComments: 'none', // the licences go along as a whole (setup/wheel.py)
  metafile: true,
  logLevel: 'warning',
})
const packages = Object.keys(metafile.inputs).map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1])
console.log(JSON.stringify([...new Set(packages.filter(Boolean))]))
