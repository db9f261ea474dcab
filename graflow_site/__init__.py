"""The site: settings, addresses, processes. It joins the rooms together and holds no rule of its own."""
