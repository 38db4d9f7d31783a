"""The face mesh: which of its 478 landmarks is what (MediaPipe's numbering).

"Left" and "right" are the person's own; the right eye is on the left of the picture. Rings are in order.
"""

POINTS = 478
NODES = 468  # the points of the skin, without the irises

# fmt: off
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # a ring
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)  # a ring
LIPS = OUTER_LIPS + INNER_LIPS
UPPER_INNER_LIP, LOWER_INNER_LIP = 13, 14  # middle of the inner lips
NOSE_TIP, NOSE_BASE = 1, 2
NOSE_RIDGE = (168, 6, 197, 195, 5, 4, 1, 19, 94, 2)  # from between the eyes to the base
NOSTRILS = (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64)  # a ring
UPPER_LIP_MIDDLE = (0, 37, 267)  # its outer edge
LIP_CORNERS = (61, 291)  # right, left

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)  # a ring, outer corner first
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_UPPER_LID, RIGHT_LOWER_LID = (160, 159, 158), (144, 145, 153)  # in pairs, outer to inner
LEFT_UPPER_LID, LEFT_LOWER_LID = (387, 386, 385), (373, 374, 380)
RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS = (33, 133), (263, 362)  # outer, inner
OUTER_EYE_CORNERS = (33, 263)  # right, left
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)  # centre first
IRIS = RIGHT_IRIS + LEFT_IRIS

RIGHT_BROW = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)  # a ring: lower edge inwards, upper edge outwards
LEFT_BROW = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)
BROWS = RIGHT_BROW + LEFT_BROW
RIGHT_INNER_BROW, LEFT_INNER_BROW = (107, 55), (336, 285)  # ends beside the nose: upper edge, lower edge
INNER_BROWS = RIGHT_INNER_BROW + LEFT_INNER_BROW
OUTER_BROWS = (70, 46, 300, 276)
BROW_LINE = (70, 63, 105, 66, 107, 9, 336, 296, 334, 293, 300)  # upper edges and what is between, from the right one on

FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
             152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # a ring

# Skin that lies on the skull: nose, eye corners, middle of the forehead, temples. The oval's own points slide with yaw.
SKULL = (168, 6, 197, 195, 5, 4, 1, 122, 351, 196, 419, 3, 248, 51, 281, 45, 275, 188, 412, 174, 399, 217, 437,
         126, 355, 198, 420, 131, 360, 33, 133, 362, 263, 130, 359, 243, 463, 9, 8, 151, 108, 337, 69, 299, 104, 333,
         68, 298, 34, 264, 143, 372, 116, 345)
JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
FOREHEAD_TOP, CHIN_BOTTOM = 10, 152  # the ends of the oval
CHIN_TIP = (152, 148, 377)
CHIN = (199, 175, 200, 18, 171, 396, 208, 428)
CHEEKS = (205, 425, 187, 411, 207, 427)
TEMPLES = (127, 356)  # right, left
LIDS = ((159, 145), (386, 374))  # upper and lower middle of the right and the left eye's lids
# fmt: on
