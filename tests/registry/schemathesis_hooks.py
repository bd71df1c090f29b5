"""Parts of an upload are bytes under a media type of their own."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
