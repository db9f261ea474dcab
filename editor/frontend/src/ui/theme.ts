/* Light, dark, or what the system says. The choice is a cookie, so that the server can put it on the first byte. */

export type ThemeChoice = 'light' | 'dark' | 'system';

const COOKIE = 'graflow_theme';
const YEAR_SECONDS = 31_536_000;

export function currentTheme(): ThemeChoice {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

export function chooseTheme(choice: ThemeChoice): void {
  const secure = window.location.protocol === 'https:' ? '; Secure' : '';
  if (choice === 'system') {
    delete document.documentElement.dataset.theme;
    // biome-ignore lint/suspicious/noDocumentCookie: the server reads it; the cookie store is not everywhere yet
    document.cookie = `${COOKIE}=; Path=/; Max-Age=0; SameSite=Lax${secure}`;
  } else {
    document.documentElement.dataset.theme = choice;
    // biome-ignore lint/suspicious/noDocumentCookie: as above
    document.cookie = `${COOKIE}=${choice}; Path=/; Max-Age=${YEAR_SECONDS}; SameSite=Lax${secure}`;
  }
  // Canvases read their colours once; this tells them to read again.
  window.dispatchEvent(new CustomEvent('graflow:theme', { detail: choice }));
}

export function themeSwitch(root: ParentNode): void {
  const group = root.querySelector<HTMLElement>('[data-themes]');
  if (!group) return;
  const buttons = [...group.querySelectorAll<HTMLButtonElement>('[data-theme-choice]')];
  const show = (): void => {
    for (const button of buttons) {
      button.setAttribute('aria-pressed', String(button.dataset.themeChoice === currentTheme()));
    }
  };
  for (const button of buttons) {
    button.addEventListener('click', () => {
      chooseTheme((button.dataset.themeChoice ?? 'system') as ThemeChoice);
      show();
    });
  }
  show();
  group.hidden = false;
}
