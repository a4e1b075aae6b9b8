/** @file Finds ONNX Runtime's shared library inside the onnxruntime-node package. */
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { RegaugeError } from '../errors.ts'

/** The library's file name by `process.platform`; the pattern allows for a version in it. */
const LIBRARY_NAMES: Readonly<Partial<Record<NodeJS.Platform, RegExp>>> = {
  darwin: /^libonnxruntime(\.\d+)*\.dylib$/,
  linux: /^libonnxruntime\.so(\.\d+)*$/,
  win32: /^onnxruntime\.dll$/,
}

/**
 * Path of the ONNX Runtime library for this platform in the installed onnxruntime-node package: darwin/arm64,
 * linux/arm64, linux/x64, win32/arm64 and win32/x64 have one. The package's JavaScript is not loaded.
 */
export function findLibrary(
  platform: NodeJS.Platform = process.platform,
  arch: string = process.arch,
): string {
  const root = packageRoot()
  const pattern = LIBRARY_NAMES[platform]
  const bin = join(root, 'bin')
  // The folder between is the N-API level of the package's own binding (napi-v6 in 1.30), which may change.
  for (const level of existsSync(bin) ? readdirSync(bin).sort().reverse() : []) {
    const folder = join(bin, level, platform, arch)
    if (pattern === undefined || !existsSync(folder)) continue
    // The shortest name first: the loader resolves it, and the longer ones are the same file.
    const names = readdirSync(folder).filter((name) => pattern.test(name))
    const name = names.sort((a, b) => a.length - b.length)[0]
    if (name !== undefined) return join(folder, name)
  }
  throw new RegaugeError('environment', {
    code: 'RUNTIME_LIBRARY_MISSING',
    message: `onnxruntime-node has no ONNX Runtime library for ${platform}/${arch}`,
    file: root,
    hint: 'use darwin/arm64, linux/arm64, linux/x64, win32/arm64 or win32/x64, or give the path of a libonnxruntime',
  })
}

function packageRoot(): string {
  // Resolved from this file, so that it is found both in a checkout and where regauge is a dependency, hoisted or not.
  const require = createRequire(import.meta.url)
  try {
    return dirname(require.resolve('onnxruntime-node/package.json'))
  } catch (cause) {
    const issue = {
      code: 'RUNTIME_PACKAGE_MISSING',
      message:
        'the package onnxruntime-node is not installed: npm leaves it out when its install script, which fetches CUDA ' +
        'libraries from api.nuget.org, fails',
      hint:
        'run `npm install --ignore-scripts` where regauge was installed (`npm install --global --ignore-scripts ' +
        'regauge` if for all): all but CUDA is in the package itself',
    }
    throw new RegaugeError('environment', issue, { cause })
  }
}
