/** The anywidget module of the views of pairs, texts and studies. */
import { ENTRIES } from "./entries";
import { moduleOf } from "./mount";
import { App } from "./views/app";

export default moduleOf(App, ENTRIES);
