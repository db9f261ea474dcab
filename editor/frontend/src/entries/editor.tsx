import '@xyflow/react/dist/base.css';
import '../ui/island.css';
import '../canvas/editor.css';
import '../canvas/sides.css';
import '../canvas/canvas.css';
import '../canvas/floating.css';
import '../canvas/settings.css';
import '../canvas/narrow.css';
import { createRoot } from 'react-dom/client';
import { EditorApp, openEditor, type PageData } from '../canvas/EditorApp';

const root = document.getElementById('editor-root');
const data = document.getElementById('page-data')?.textContent;
if (root && data) {
  const page = JSON.parse(data) as PageData;
  createRoot(root).render(<EditorApp {...openEditor(page)} urls={page.urls ?? {}} />);
}
