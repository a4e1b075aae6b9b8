/** @file A priority queue that gives the item of the least key first: a binary heap. */

/** Factor on a lower bound that keeps it one under rounding: it sums in another order than what it bounds. */
export const ROUNDING = 1 - 1e-9

interface PriorityQueue<Item> {
  push(key: number, item: Item): void
  /** Removes and returns the item of the least key; undefined where no key is at most `most`. */
  pop(most: number): Item | undefined
}

export function createPriorityQueue<Item>(): PriorityQueue<Item> {
  const keys: number[] = []
  const items: Item[] = []
  const put = (i: number, key: number, item: Item) => {
    keys[i] = key
    items[i] = item
  }
  return {
    push(key, item) {
      let i = keys.length
      for (let parent = (i - 1) >> 1; i > 0 && key < keys[parent]!; parent = (i - 1) >> 1) {
        put(i, keys[parent]!, items[parent]!)
        i = parent
      }
      put(i, key, item)
    },
    pop(most) {
      if (keys.length === 0 || keys[0]! > most) return undefined
      const top = items[0]!
      const key = keys.pop()!
      const item = items.pop()!
      if (keys.length === 0) return top
      let i = 0
      for (let child = 1; child < keys.length; child = 2 * i + 1) {
        if (child + 1 < keys.length && keys[child + 1]! < keys[child]!) child++
        if (key <= keys[child]!) break
        put(i, keys[child]!, items[child]!)
        i = child
      }
      put(i, key, item)
      return top
    },
  }
}
