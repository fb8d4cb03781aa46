"""What the API answers, as immutable typed records. Keys, digests and ids are hex, times Unix milliseconds.

Fields that a server adds are passed over. What is here is the word of the validator asked; only what
`node.client.verification` returns was checked.
"""

from node.client.answers.base import Answer, Terms, bytes_of, vector_of
from node.client.answers.items import (
    EmbeddedDatum,
    EmbeddedItem,
    EmbeddingList,
    Item,
    ItemEmbedding,
    Job,
    Neighbour,
    Proof,
    SearchResult,
)
from node.client.answers.members import (
    Encoder,
    EncoderHistory,
    EncoderPage,
    EncoderRound,
    Epoch,
    EpochDetail,
    EpochPage,
    PeerPage,
    Status,
    Validator,
    ValidatorPage,
)
from node.client.answers.rounds import (
    Dispute,
    DisputePage,
    Evidence,
    EvidencePage,
    Round,
    RoundDetail,
    RoundPage,
    RoundShard,
    Score,
    Step,
)

__all__ = [
    "Answer",
    "Dispute",
    "DisputePage",
    "EmbeddedDatum",
    "EmbeddedItem",
    "EmbeddingList",
    "Encoder",
    "EncoderHistory",
    "EncoderPage",
    "EncoderRound",
    "Epoch",
    "EpochDetail",
    "EpochPage",
    "Evidence",
    "EvidencePage",
    "Item",
    "ItemEmbedding",
    "Job",
    "Neighbour",
    "PeerPage",
    "Proof",
    "Round",
    "RoundDetail",
    "RoundPage",
    "RoundShard",
    "Score",
    "SearchResult",
    "Status",
    "Step",
    "Terms",
    "Validator",
    "ValidatorPage",
    "bytes_of",
    "vector_of",
]
