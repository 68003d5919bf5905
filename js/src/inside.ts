/** The model of a view that is drawn inside of another: its own state, and the same kernel. */
import type { Model } from "./model";
import { snapshotModel } from "./snapshot";
import type { Reply, Snapshot } from "./wire";

type Listener = (content: Reply, buffers: DataView[]) => void;

/** Messages go out as those of pair `number`, and their answers come back under ids that the view around does not know. */
export function insideModel(outer: Model, number: number, opened: Snapshot, live: boolean): Model {
  const inner = snapshotModel(opened);
  const progress = { ...opened.progress, live, offers: [] };
  const mine = `${number}:`;
  const listeners = new Map<Listener, Listener>();
  return {
    ...inner,
    get: (key: string) => (key === "progress" ? progress : inner.get(key)) as never,
    send(message: { id: number }) {
      if (live) outer.send({ type: "inside", number, message, id: `${mine}${message.id}` });
    },
    on(event: string, listener: Listener) {
      if (event !== "msg:custom") return;
      const heard: Listener = (content, buffers) => {
        const id = String(content.id);
        if (id.startsWith(mine)) listener({ ...content, id: Number(id.slice(mine.length)) }, buffers);
      };
      listeners.set(listener, heard);
      outer.on(event, heard);
    },
    off(event: string, listener: Listener) {
      const heard = listeners.get(listener);
      if (heard) outer.off(event, heard);
      listeners.delete(listener);
    },
  } as Model;
}
