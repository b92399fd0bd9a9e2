# SPDX-License-Identifier: Apache-2.0
"""The page that a relay serves for people: join a call in a browser, see what happens in it.

`Page` answers requests for its files. The page itself lies in `static/`; the protocol in it is the JavaScript
implementation, which a wheel carries beside it and a checkout has in `reference/javascript`.
"""

from callchannel.web.page import Page

__all__ = ["Page"]
