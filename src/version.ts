/** @file What package.json says of regauge and is told to people: the one place that knows the version. */
import { readFileSync } from 'node:fs'

interface Manifest {
  readonly version: string
  readonly bugs?: { readonly url: string }
}

// it lies one folder above this file, in the sources as in the build
const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as Manifest

/** Version of regauge. */
export const VERSION = manifest.version

/** Where bugs are reported, in words where there is no address. */
export const BUGS = manifest.bugs?.url ?? 'the issue tracker of regauge'
