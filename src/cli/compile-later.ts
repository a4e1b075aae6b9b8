/** @file How the executable has V8 compile. */
import { setFlagsFromString } from 'node:v8'

/**
 * Makes V8 compile later than by itself, which is what has run for about a millisecond: compiling takes most of a plan then;
 * what trains for long is compiled all the same.
 */
export function compileLater(): void {
  setFlagsFromString('--interrupt-budget=1000000')
}
