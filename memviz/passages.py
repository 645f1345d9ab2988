"""Short passages in the public domain, and one licence text that may be copied freely, to try a model with."""

from __future__ import annotations

PASSAGES = {
    "U.S. Constitution, preamble (1787)": (
        "We the People of the United States, in Order to form a more perfect Union, establish Justice, insure domestic "
        "Tranquility, provide for the common defence, promote the general Welfare, and secure the Blessings of Liberty "
        "to ourselves and our Posterity, do ordain and establish this Constitution for the United States of America."
    ),
    "Declaration of Independence (1776)": (
        "We hold these truths to be self-evident, that all men are created equal, that they are endowed by their "
        "Creator with certain unalienable Rights, that among these are Life, Liberty and the pursuit of Happiness.--"
        "That to secure these rights, Governments are instituted among Men, deriving their just powers from the "
        "consent of the governed, --That whenever any Form of Government becomes destructive of these ends, it is the "
        "Right of the People to alter or to abolish it, and to institute new Government."
    ),
    "Gettysburg Address (1863)": (
        "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in "
        "Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil "
        "war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met on "
        "a great battle-field of that war. We have come to dedicate a portion of that field, as a final resting place "
        "for those who here gave their lives that that nation might live."
    ),
    "Genesis 1, King James Bible (1611)": (
        "In the beginning God created the heaven and the earth. And the earth was without form, and void; and darkness "
        "was upon the face of the deep. And the Spirit of God moved upon the face of the waters. And God said, Let "
        "there be light: and there was light. And God saw the light, that it was good: and God divided the light from "
        "the darkness. And God called the light Day, and the darkness he called Night. And the evening and the morning "
        "were the first day."
    ),
    "Hamlet, act 3 (about 1600)": (
        "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\nThe slings and arrows "
        "of outrageous fortune,\nOr to take arms against a sea of troubles\nAnd by opposing end them. To die, to sleep"
        ",\nNo more; and by a sleep to say we end\nThe heart-ache and the thousand natural shocks\nThat flesh is heir "
        "to: 'tis a consummation\nDevoutly to be wish'd."
    ),
    "A Tale of Two Cities (1859)": (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
        "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
        "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had "
        "nothing before us, we were all going direct to Heaven, we were all going direct the other way."
    ),
    "Pride and Prejudice (1813)": (
        "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of "
        "a wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood"
        ", this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful "
        "property of some one or other of their daughters."
    ),
    "MIT licence": (
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
        'documentation files (the "Software"), to deal in the Software without restriction, including without '
        "limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the "
        "Software, and to permit persons to whom the Software is furnished to do so, subject to the following "
        "conditions:\n\nThe above copyright notice and this permission notice shall be included in all copies or "
        "substantial portions of the Software."
    ),
}
"""Title -> text, as commonly printed."""
