/** Stack, layer and head as three lists, where no grid of effects is there to click on. */
import type { StackSpec } from "../wire";
import { useField, useView } from "./hooks";

export function HeadPicker() {
  const { select } = useView();
  const spec = useField("spec");
  const { stack, layer, head } = useField("selection");
  const shape = spec.stacks.find(({ name }) => name === stack) as StackSpec;
  const list = (label: string, value: number, n: number, choose: (value: number) => void) => (
    <label class="mv-check">
      {label}
      <select
        data-lm-suppress-shortcuts
        value={value}
        onChange={(event) => choose(Number(event.currentTarget.value))}
      >
        {[...Array(n).keys()].map((number) => (
          <option key={number} value={number}>
            {number}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <div class="mv-picker">
      {spec.stacks.length > 1 && (
        <label class="mv-check">
          stack
          <select
            data-lm-suppress-shortcuts
            value={stack}
            onChange={(event) => {
              const next = spec.stacks.find(({ name }) => name === event.currentTarget.value) as StackSpec;
              const within = (value: number, size: number) => Math.min(value, size - 1);
              select({
                stack: next.name,
                layer: within(layer, next.n_layers),
                head: within(head, next.n_heads),
                ...(next.text === shape.text ? {} : { pos: null, key_pos: null }),
              });
            }}
          >
            {spec.stacks.map(({ name, title }) => (
              <option key={name} value={name}>
                {title || name}
              </option>
            ))}
          </select>
        </label>
      )}
      {list("layer", layer, shape.n_layers, (value) => select({ layer: value }))}
      {list("head", head, shape.n_heads, (value) => select({ head: value }))}
    </div>
  );
}
