"""What the quantiser sees of the model's inside: the range of every linear layer's input.

The texts were written for this file, so that the weights can be made by anyone, without
any data set. They are short and plain because prompts to assistants mostly are, and
wide in subject because outliers of an activation belong to subjects and to signs.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from tokenizers import Tokenizer

from training.minilm_graph import Array
from training.quantize import Ranges

TEXTS = """
How do I reset my password?
What is the refund policy for an order that arrived damaged?
Can I change the delivery address after I have placed my order?
Where is my parcel? The tracking number is 1Z999AA10123456784.
Cancel my subscription at the end of this month, please.
My card was charged twice: $49.99 on 3 May and again on 4 May.
Do you ship to Canada, and how long does it take?
I forgot which e-mail address I signed up with.
Is there a student discount on the annual plan?
Turn on dark mode.
Turn off dark mode.
The app crashes whenever I open the settings page on Android 14.
How many vacation days do I have left this year?
What's the difference between a Roth IRA and a traditional IRA?
Explain compound interest to a ten-year-old.
How much is 15% of 240?
Convert 72 degrees Fahrenheit to Celsius.
What is the square root of 2 to five decimal places?
Solve for x: 3x + 7 = 22.
Prove that there are infinitely many prime numbers.
What is the derivative of sin(x) * e^x?
How do I reverse a list in Python?
Write a function that checks whether a string is a palindrome.
Why do I get "NullPointerException" at line 42?
SELECT name, count(*) FROM users GROUP BY name HAVING count(*) > 1;
def add(a, b): return a + b
git rebase -i HEAD~3 says there is nothing to do. What now?
How do I exit vim?
Explain the difference between TCP and UDP.
What does HTTP status code 429 mean?
kubectl get pods shows CrashLoopBackOff; how do I find out why?
Compare PostgreSQL with MySQL for a small web shop.
What is a monad in functional programming?
Translate "good morning" into French, German and Japanese.
What's the plural of "octopus"?
Correct the grammar: he don't know nothing about it
Summarise the plot of Romeo and Juliet in three sentences.
Who wrote One Hundred Years of Solitude?
Who painted the ceiling of the Sistine Chapel?
When did the Second World War end in Europe?
When was the Eiffel Tower built, and how tall is it?
What is the capital of Australia?
Which river is longer, the Nile or the Amazon?
List the planets of the solar system in order of size.
How far is the Moon from the Earth?
Why is the sky blue?
How do vaccines work?
What are the side effects of ibuprofen?
Is it safe to take paracetamol and ibuprofen together?
How many calories are there in a banana?
What is a healthy blood pressure for a 60 year old man?
My dog ate chocolate, what should I do?
How often should I water a cactus?
How do I get red wine out of a white carpet?
Give me a recipe for vegetarian lasagne for six people.
How long do I boil an egg to get a runny yolk?
Can I substitute baking soda for baking powder?
What time is it in Tokyo when it is noon in New York?
Book a table for two at an Italian restaurant tonight at 7:30 pm.
What's the weather going to be like in London tomorrow?
Set an alarm for 6:45 every weekday.
Play some jazz by Miles Davis.
Remind me to call mum on Sunday.
How do I get from the airport to the city centre by train?
Do I need a visa to travel to India?
What is the best time of year to visit Iceland?
Who won the football world cup in 2018?
How many players are there on a basketball team?
What are the rules of chess castling?
What is the meaning of life?
Is free will an illusion?
What did Kant mean by the categorical imperative?
What are the advantages and disadvantages of remote work?
Write a polite e-mail declining a job offer.
Draft a cover letter for a junior accountant position.
Write a haiku about autumn rain.
Tell me a joke about programmers.
Write a limerick about a cat named Bob.
Act as a travel agent and plan five days in Rome.
Rewrite this sentence so that it sounds more formal: can you get back to me asap?
Make this shorter: The meeting that was going to take place on Tuesday has been moved to Friday.
How can I improve my credit score?
What happens if I miss a mortgage payment?
What is the current inflation rate in the United States?
How does a blockchain reach consensus?
Should I buy or lease a car?
How do I change a flat tire?
Why does my laptop fan make so much noise?
What is the resale value of an iPhone 13 Pro with 256 GB?
How do I connect my wireless headphones to the TV?
What is photosynthesis?
Name three differences between mitosis and meiosis.
What is the boiling point of water at an altitude of 3,000 m?
Balance the equation: H2 + O2 -> H2O
What is Newton's second law of motion?
How does a transformer model attend to its input?
What is the difference between supervised and unsupervised learning?
What is the statute of limitations for breach of contract in Texas?
Can my landlord raise the rent without notice?
How do I register a trademark?
Who is the president of the European Commission?
What were the causes of the French Revolution?
What does the idiom "to bite the bullet" mean?
How do I say no without being rude?
How can I fall asleep faster?
What are good names for a golden retriever puppy?
I feel anxious before exams. Any advice?
Which of these is a mammal: a shark, a dolphin or a penguin?
Extract all dates from this text: it was signed on 2021-06-30 and ends on 1 July 2026.
Classify the sentiment: "The soup was cold, but the waiter was lovely."
{"name": "Ada", "role": "admin", "active": true}
<div class="card"><p>Hello</p></div>
https://example.com/search?q=semantic+cache&page=2
ERROR 2024-01-31 12:00:01,123 worker-7: connection to 10.0.0.5:5432 refused
!!! ??? ... --- *** ### @@@ %%% &&& ((( )))
aaaa bbbb 1111 2222 zzzz xqzk
hello
thanks
yes
ok
why
The quick brown fox jumps over the lazy dog.
""".strip().splitlines()


def ranges(model: onnx.ModelProto, tokenizer: Tokenizer) -> Ranges:
    """Run the texts through a float32 `model` built with `tap`; returns what each input spans."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [out.name for out in session.get_outputs() if out.name.startswith("tap.")]
    seen: dict[str, tuple[Array, Array]] = {}
    for text in [*TEXTS, " ".join(TEXTS[:15]), " ".join(TEXTS[60:75])]:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        for name, values in zip(names, session.run(names, {"input_ids": ids}), strict=True):
            rows = values.reshape(-1, values.shape[-1])
            _widen(seen, name.removeprefix("tap."), rows)
    return seen


def _widen(seen: dict[str, tuple[Array, Array]], name: str, rows: Array) -> None:
    low, high = rows.min(axis=0), rows.max(axis=0)
    if name in seen:
        low, high = np.minimum(low, seen[name][0]), np.maximum(high, seen[name][1])
    seen[name] = (low, high)
