/** @file Normal numbers that depend on a seed and a name alone, the same on every machine. */

/** Fills `into` with normal numbers of mean 0 and the given standard deviation. */
export function normals(into: Float32Array, deviation: number, seed: number, name: string): Float32Array {
  const next = uniform(seed, name)
  for (let i = 0; i < into.length; i += 2) {
    // Box and Muller: two uniform numbers give two normal ones
    const radius = Math.sqrt(-2 * Math.log(1 - next())) * deviation
    const angle = 2 * Math.PI * next()
    into[i] = radius * Math.cos(angle)
    if (i + 1 < into.length) into[i + 1] = radius * Math.sin(angle)
  }
  return into
}

/** Uniform numbers in [0, 1) with 32 random bits: the generator sfc32, seeded by a hash of seed and name. */
export function uniform(seed: number, name: string): () => number {
  let [a, b, c, counter] = hash(`${seed}/${name}`)
  const next = () => {
    const result = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + result
    c |= 0
    return (result >>> 0) / 2 ** 32
  }
  // the first numbers still show the seed
  for (let i = 0; i < 12; i++) next()
  return next
}

/** Four 32-bit words from a text: FNV-1a with four offsets. */
function hash(text: string): [number, number, number, number] {
  const words: [number, number, number, number] = [0x811c9dc5, 0x9e3779b9, 0x85ebca6b, 0xc2b2ae35]
  for (let i = 0; i < text.length; i++) {
    for (let w = 0; w < 4; w++) words[w] = Math.imul(words[w]! ^ (text.charCodeAt(i) + w), 0x01000193)
  }
  return words
}
