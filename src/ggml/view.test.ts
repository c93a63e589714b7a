import { expect, it } from "vitest";
import { Device } from "./device.ts";
import { isInHostMemory, type Tensor } from "./tensor-buffer.ts";
import { TYPES } from "./types.ts";

it("a view lies where what it is a view of lies", async () => {
  using device = new Device({ threads: 1 });
  using buffer = device.allocate([{ type: TYPES.f32, shape: [4, 4] }]);
  await device.run((g) => {
    const [whole] = buffer.tensors as [Tensor];
    const part = g.view2d(whole, 4, 2, 16, 32);
    expect(isInHostMemory(part)).toBe(true);
    const sum = g.output(g.add(part, part));
    expect(isInHostMemory(sum)).toBe(false);
    return () => expect(isInHostMemory(sum)).toBe(true);
  });
});
