"""What the card of the demonstration model says, in the other languages that results speak."""

from dicomnode.classify.card.common import Spoken

__all__ = ["EVALUATION", "SPOKEN"]

SPOKEN = {
    "de": Spoken(
        disclaimer="Demonstration, nicht für die klinische Anwendung",
        intended_use="dicomnode ausprobieren und testen. "
        "Das Modell wurde an Zeichnungen trainiert, nicht an Menschen.",
    ),
    "fr": Spoken(
        disclaimer="Démonstration, pas pour un usage clinique",
        intended_use="Essayer et tester dicomnode. "
        "Le modèle a été entraîné sur des dessins, pas sur des personnes.",
    ),
    "es": Spoken(
        disclaimer="Demostración, no apta para uso clínico",
        intended_use="Probar dicomnode y someterlo a pruebas. "
        "El modelo se entrenó con dibujos, no con personas.",
    ),
    "zh": Spoken(
        disclaimer="仅供演示。不得用于临床",
        intended_use="用于试用和测试 dicomnode。该模型以绘制的图像而非人体图像训练。",
    ),
}
#: The images that it was measured on.
EVALUATION = {
    "de": "synthetische Röntgenbilder, mit anderen Startwerten gezeichnet als die zum Training",
    "fr": "radiographies de synthèse, dessinées avec d'autres graines que celles de l'entraînement",
    "es": "radiografías sintéticas, dibujadas con otras semillas que las del entrenamiento",
    "zh": "以不同于训练图像的随机种子绘制的合成 X 线片",
}
