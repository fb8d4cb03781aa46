"""The web page: static files beside this module, served as they are. No build step, nothing fetched."""
