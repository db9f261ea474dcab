/* The inbox page: takes over the server's list with the same data, then stays live through the shell's socket.

   Runs on Preact (see vite.config.ts), written and typed as React. */

import '../inbox/inbox.css';
import { createRoot } from 'react-dom/client';
import { Inbox, type View } from '../inbox/Inbox';
import { parseItem } from '../inbox/model';
import { list, record } from '../live/parse';
import { pageData } from '../ui/http';

const root = document.getElementById('inbox-root');
const data = pageData();
if (root) {
  // The server's list goes: Preact would build on it, and what it did not make itself it does not keep up to date.
  root.replaceChildren();
  createRoot(root).render(
    <Inbox
      items={list(data.items).map(parseItem)}
      selected={data.selected ? parseItem(data.selected) : null}
      view={data.view === 'all' || data.view === 'done' ? (data.view as View) : 'mine'}
      canAnswer={record(data.can).answer === true}
    />,
  );
}
