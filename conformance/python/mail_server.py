"""A mail server that prints where it listens, then each mail it takes as one line of JSON.

It wants a login and a recipient in example.com, and reads mails with Python's own library, which has
no part in how they are made.
"""

import asyncio
import json
from email import message_from_bytes
from email.policy import SMTP as POLICY

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if not address.endswith("@example.com"):
            return "550 only for example.com"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=POLICY)
        parts = list(mail.walk())
        seen = {
            "envelope": [envelope.mail_from, *envelope.rcpt_tos],
            "headers": {name: str(value) for name, value in mail.items()},
            "parts": [
                [part.get_content_type(), part.get_content().replace("\r\n", "\n")]
                for part in parts[1:]
            ],
            "type": mail.get_content_type(),
            "defects": [repr(defect) for part in parts for defect in part.defects],
        }
        print(json.dumps(seen), flush=True)
        return "250 OK"


def check(server, session, envelope, mechanism, login):
    success = (login.login, login.password) == (b"user", b"pass word")
    # Whoever handled it would have to answer as well.
    return AuthResult(success=success, handled=success)


async def main():
    def session():
        return SMTP(
            Mailbox(), authenticator=check, auth_required=True, auth_require_tls=False
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


asyncio.run(main())
